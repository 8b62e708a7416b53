//! How the daemon speaks: lines of text or JSON.
//!
//! One event is one line, whatever its values hold: control characters come out escaped. Lines go to standard error, so
//! that what a command prints stays clean. Nothing here knows what happened, and no field is meant for an address. The names of fields are those
//! of `tests/fields.rs`.

use std::error::Error;
use std::io::{self, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Every format, in the order of [`Format::WORDS`].
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];
    /// Their words in the config.
    pub const WORDS: [&'static str; 2] = ["text", "json"];
}

/// The least important event that is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// A person must act.
    Error,
    /// We coped; look some time.
    Warn,
    /// One line for each thing that happened.
    #[default]
    Info,
    /// Ordinary endings too.
    Debug,
    /// Everything, the libraries' words at `debug` among them.
    Trace,
}

impl Level {
    /// Every level, in the order of [`Level::WORDS`].
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
    /// Their words in the config.
    pub const WORDS: [&'static str; 5] = ["error", "warn", "info", "debug", "trace"];

    /// Our own events at this level; those of the libraries only when they warn, because what they hold is not ours to vouch for.
    fn directives(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "warn,expunged=info",
            Self::Debug => "warn,expunged=debug",
            Self::Trace => "debug,expunged=trace",
        }
    }
}

/// The process has its log already.
#[derive(Debug, thiserror::Error)]
#[error("the log was set up twice")]
pub struct AlreadySet(#[source] tracing::subscriber::SetGlobalDefaultError);

/// Starts the log of this process, on standard error.
///
/// # Errors
/// [`AlreadySet`] when called again.
pub fn init(format: Format, level: Level) -> Result<(), AlreadySet> {
    tracing::subscriber::set_global_default(subscriber(format, level, io::stderr)).map_err(AlreadySet)
}

/// What writes events as lines to `writer`.
pub fn subscriber<W>(format: Format, level: Level, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level.directives()))
        .with_ansi(false)
        .with_target(false)
        .with_writer(OneLine(writer));
    match format {
        Format::Text => Box::new(lines.finish()),
        Format::Json => Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish()),
    }
}

/// Escapes control characters, so that one event stays one line and cannot act on a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// An error with its causes, in one clause after the other: what the field `cause` holds.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

struct OneLine<W>(W);

struct OneLineWriter<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

/// The formatter hands over one whole event at a time.
impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = printable(text.strip_suffix('\n').unwrap_or(&text));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: Format, level: Level, act: impl FnOnce()) -> Vec<String> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(subscriber(format, level, move || writer.clone()), act);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn one_event_is_one_line_without_control_characters() {
        for format in Format::ALL {
            let hostile = "a\nb\x1b[31m\r\u{9b}c\u{202e}";
            let got = lines(format, Level::Info, || tracing::info!(file = hostile, bytes = 7, "upload delivered"));
            assert_eq!(got.len(), 1, "{got:?}");
            assert!(!got[0].chars().any(|c| c.is_control() || c == '\u{202e}'), "{got:?}");
            assert!(got[0].contains("upload delivered"), "{got:?}");
        }
    }

    #[test]
    fn a_text_cannot_look_like_fields() {
        let got = lines(Format::Text, Level::Info, || tracing::info!(file = "x\" bytes=1 y=\"z", bytes = 7, "upload delivered"));
        assert!(got[0].contains(r#"file="x\" bytes=1 y=\"z" bytes=7"#), "{got:?}");
    }

    #[test]
    fn json_lines_hold_the_fields_and_the_tenant_of_their_span() {
        let got = lines(Format::Json, Level::Info, || {
            let _span = tracing::info_span!("session", tenant = "acme").entered();
            tracing::info!(rows = 3, "import completed");
        });
        let line: serde_json::Value = serde_json::from_str(&got[0]).unwrap();
        assert_eq!(line["rows"], 3);
        assert_eq!(line["message"], "import completed");
        assert_eq!(line["span"]["tenant"], "acme");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn libraries_are_heard_only_when_they_warn() {
        let got = lines(Format::Text, Level::Debug, || {
            tracing::debug!("ours");
            tracing::info!(target: "russh", "theirs");
            tracing::warn!(target: "russh", "their warning");
        });
        assert_eq!(got.len(), 2, "{got:?}");
        assert!(got[0].contains("ours") && got[1].contains("their warning"), "{got:?}");
    }
}
