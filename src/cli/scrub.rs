//! `scrub`: search the store for traces of purged people now.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::args::ScrubArgs;
use super::lists::{LOOK_EVERY, TAKEN_UP_WITHIN, Turn, asked_by};
use super::{Exit, Failure, Scene, serve, store};
use crate::config::Config;
use crate::daemon::ByHand;
use crate::pipeline;
use crate::store::{Store, StoreError, ledger};

/// How long a command in the daemon's place waits for a reader of the store.
const READER_PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(scene: &Scene, args: &ScrubArgs) -> Result<Exit, Failure> {
    let config = scene.load_config()?;
    scene.guard_owner(&config)?;
    ByHand::look(&config).map_err(serve::failure)?;
    let failed = |error: StoreError| store::failure(&error);
    let mut opened = store::open(&config)?;
    let new = pipeline::scrub_request(asked_by());
    let request = opened.write("ask for a scrub", |tx| ledger::insert_request(tx, &new, Timestamp::now())).map_err(failed)?;
    let result = wait_for(scene, &config, &opened, request)?;
    if args.json {
        scene.terminal.json(&result)?;
    } else {
        print(scene, &result)?;
    }
    Ok(if result["clean"] == true { Exit::Done } else { Exit::SomeInvalid })
}

/// In the daemon's place, if there is none: by now, or once the command is over that held its lock.
fn scrub(config: &Config, request: i64) -> Result<(), Failure> {
    let Some(mut by_hand) = ByHand::build(config).map_err(serve::failure)? else { return Ok(()) };
    if by_hand.pipeline.run_scrub(request, READER_PATIENCE).map_err(|fault| Failure::failed(fault.chain()))? {
        return Ok(());
    }
    Err(Failure::failed("another program reads the store and keeps its write-ahead log from being emptied")
        .hint("end it, or let it end its read, and run the command again"))
}

fn wait_for(scene: &Scene, config: &Config, store: &Store, request: i64) -> Result<Value, Failure> {
    let (mut waited, mut turn) = (Duration::ZERO, Turn::default());
    loop {
        if turn.comes(config)? {
            scrub(config, request)?;
        }
        let row = ledger::request(store.connection(), request).map_err(|error| store::failure(&error))?;
        let row = row.ok_or_else(|| Failure::failed("the request was lost"))?;
        if let Some(result) = row.result {
            return match result["error"].as_str() {
                Some(why) => Err(Failure::failed(format!("the daemon refused: {why}"))),
                None => Ok(result),
            };
        }
        if row.taken_at.is_none() && waited > TAKEN_UP_WITHIN {
            return Err(Failure::failed("the daemon has not taken up the request").hint("it will when it can; see its log"));
        }
        std::thread::sleep(LOOK_EVERY);
        if waited <= READER_PATIENCE && waited + LOOK_EVERY > READER_PATIENCE {
            scene.terminal.hint("not over yet; the daemon's log says what it waits for, as a program that keeps a read of the store open");
            scene.terminal.hint("it goes on without this command, which Ctrl-C ends");
        }
        waited += LOOK_EVERY;
    }
}

fn print(scene: &Scene, result: &Value) -> Result<(), Failure> {
    let structure = &result["structure"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let imports = result["imports"].as_array().map_or(0, Vec::len);
    let found = number(&result["residue"]) + number(&structure["nonzero_bytes"]) + number(&structure["unread_pages"]) > 0;
    let kept = number(&result["kept"]);
    let places = result["residue_in"].as_object().into_iter().flatten().map(|(place, many)| format!("{place} {many}"));
    let places = places.collect::<Vec<_>>().join(", ");
    let places = if places.is_empty() { places } else { format!(": {places}") };
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
