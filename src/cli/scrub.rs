//! `scrub`: search the store for traces of purged people now.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::asked::{Asked, Errand, asked_by};
use super::{Exit, Failure, Scene, serve, store};
use crate::daemon::ByHand;
use crate::pipeline;
use crate::store::Store;

/// How long a command in the daemon's place waits for a reader of the store.
const READER_PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `scrub`.
#[derive(Args, Debug)]
#[command(
    about = "Search the store for traces of purged people now, and zero every byte that no row uses",
    after_help = "The daemon does this by itself, [scrub] in the config says when. Beside a running daemon the command asks it, without one it \
                  works in its place. Each import that is covered gets a receipt beside its report, NAME.scrub.json.\n\n\
                  Examples:\n  expunged scrub\n  expunged scrub --json\n\n\
                  Exit codes: 0 done, nothing left; 1 failed; 2 usage or configuration; 3 done, something is left: see the receipts"
)]
pub struct ScrubArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(scene: &Scene, args: &ScrubArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    ByHand::can_sign(&config).map_err(serve::failure)?;
    let mut store = store::open(&config)?;
    let new = pipeline::scrub_request(asked_by());
    let asked = Asked::ask(scene, &config, &mut store, "ask for a scrub", &new).map_err(|error| store::failure(&error))?;
    let result = asked.wait(&Scrubbing { scene })?;
    if args.json {
        scene.terminal.json(&result)?;
    } else {
        print(scene, &result)?;
    }
    Ok(if result["clean"] == true { Exit::Done } else { Exit::SomeInvalid })
}

/// A scrub that was asked for. Its answer comes when it has ended.
struct Scrubbing<'a> {
    scene: &'a Scene,
}

impl Errand for Scrubbing<'_> {
    type Outcome = Value;

    fn work(&self, by_hand: &mut ByHand, request: i64) -> Result<(), Failure> {
        if by_hand.pipeline.run_scrub(request, READER_PATIENCE).map_err(|fault| Failure::failed(fault.chain()))? {
            return Ok(());
        }
        Err(Failure::failed("another program reads the store and keeps its write-ahead log from being emptied")
            .hint("end it, or let it end its read, and run the command again"))
    }

    fn outcome(&self, _: &Store, answer: &Value) -> Result<Option<Value>, Failure> {
        Ok(Some(answer.clone()))
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::failed(format!("the daemon refused: {why}"))
    }

    fn still_waiting(&self) {
        let terminal = &self.scene.terminal;
        terminal.hint("not over yet; the daemon's log says what it waits for, as a program that keeps a read of the store open");
        terminal.hint("it goes on without this command, which Ctrl-C ends");
    }
}

fn print(scene: &Scene, result: &Value) -> Result<(), Failure> {
    let structure = &result["structure"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let imports = result["imports"].as_array().map_or(0, Vec::len);
    let found = number(&result["residue"]) + number(&structure["nonzero_bytes"]) + number(&structure["unread_pages"]) > 0;
    let kept = number(&result["kept"]);
    let places = || result["residue_in"].as_object().into_iter().flatten();
    let width = places().map(|(place, _)| place.chars().count()).max().unwrap_or_default();
    let places: String = places().map(|(place, many)| format!("\n    {place:<width$}  {many}")).collect();
    let clean = match (result["clean"] == true, found) {
        (true, _) if kept > 0 => "nothing is left but what the plan keeps".to_owned(),
        (true, _) => "nothing is left".to_owned(),
        (false, true) => "something is left".to_owned(),
        (false, false) => "not shown that nothing is left: the receipts name what was in the way".to_owned(),
    };
    scene.terminal.say(format!(
        "scrub {}: {clean}\n  imports     {imports}\n  searched    {} pages, {} bytes, {} times through ({})\n  \
         zeroed      {} bytes that no row used, in {} pages\n  residue     {}{places}\n  kept        {kept} by the plan\n  still held  {} by people who were not purged",
        number(&result["scrub"]),
        number(&structure["pages"]),
        number(&structure["bytes"]),
        number(&structure["walks"]),
        result["method"].as_str().unwrap_or_default(),
        number(&structure["zeroed_bytes"]),
        number(&structure["zeroed_pages"]),
        number(&result["residue"]),
        number(&result["still_held"]),
    ))
}
