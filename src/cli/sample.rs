//! `sample`: files of both source systems' forms, to start from.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Exit, Failure, Scene, files};
use crate::guide::Sample;

/// Arguments of `sample`.
#[derive(Args, Debug)]
#[command(
    about = "Print a sample file of one of the forms, or write it",
    after_help = "Examples:\n  expunged sample email-csv\n  expunged sample participant-jsonl --out .\n\n\
                  Exit codes: 0 done; 1 failed; 2 usage, or the file is there"
)]
pub struct SampleArgs {
    /// The form
    #[arg(value_enum)]
    pub kind: SampleKind,
    /// Write it into this folder, under its usual name, instead of printing it
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A form of list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SampleKind {
    /// Mention Me's: Customer Email
    EmailCsv,
    /// Advocate's: accountId, id and the flags
    ParticipantCsv,
    /// Advocate's, an object a line
    ParticipantJsonl,
}

pub(super) fn run(scene: &Scene, args: &SampleArgs) -> Result<Exit, Failure> {
    let sample = match args.kind {
        SampleKind::EmailCsv => Sample::EmailCsv,
        SampleKind::ParticipantCsv => Sample::ParticipantCsv,
        SampleKind::ParticipantJsonl => Sample::ParticipantJsonl,
    };
    let Some(folder) = &args.out else {
        scene.terminal.say(sample.content().trim_end())?;
        return Ok(Exit::Done);
    };
    let file = folder.join(sample.file_name());
    files::create(&file, sample.content().as_bytes(), 0o644).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format!("\"{}\" is there already", file.display())),
        _ => Failure::failed(format!("cannot write \"{}\"", file.display())).because(&error),
    })?;
    scene.terminal.say(format!("wrote {}", file.display()))?;
    Ok(Exit::Done)
}
