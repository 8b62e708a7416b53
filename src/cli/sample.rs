//! `sample`: files of both source systems' forms, to start from.

use std::io;

use super::{Exit, Failure, SampleArgs, SampleKind, Scene, files};
use crate::guide::Sample;

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
