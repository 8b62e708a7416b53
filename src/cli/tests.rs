//! Tests of the command line's definitions: what parses, and that the helps keep their promises.

use clap::CommandFactory;

use super::*;

fn leaves(command: &clap::Command, found: &mut Vec<clap::Command>) {
    if command.has_subcommands() {
        command.get_subcommands().for_each(|inner| leaves(inner, found));
    } else {
        found.push(command.clone());
    }
}

/// A command line as a shell takes it apart. Quotes in the examples hold no quotes.
fn words(arguments: &str) -> Vec<String> {
    let mut words = vec!["expunged".to_owned()];
    for (n, part) in arguments.split('\'').enumerate() {
        if n % 2 == 1 { words.push(part.to_owned()) } else { words.extend(part.split_whitespace().map(str::to_owned)) }
    }
    words
}

#[test]
fn every_command_tells_its_exit_codes_and_every_argument_has_a_sentence() {
    Cli::command().debug_assert();
    let mut commands = Vec::new();
    leaves(&Cli::command(), &mut commands);
    assert!(commands.len() >= 14, "{}", commands.len());
    for command in commands {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Exit codes: 0 "), "{} does not tell its exit codes", command.get_name());
        assert!(command.get_about().is_some(), "{} has no sentence", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {} has no sentence", command.get_name(), argument.get_id());
        }
    }
}

#[test]
fn no_sentence_of_a_help_holds_a_line_break_so_that_it_is_wrapped_once_whatever_the_width() {
    let mut commands = Vec::new();
    leaves(&Cli::command(), &mut commands);
    for command in commands {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for (line, next) in after.lines().zip(after.lines().skip(1)) {
            let ends = line.is_empty() || line.ends_with(['.', ':']) || next.is_empty() || next.starts_with("  ");
            assert!(ends, "{}: {line}", command.get_name());
        }
    }
}

#[test]
fn the_examples_in_the_helps_parse() {
    let mut commands = Vec::new();
    leaves(&Cli::command(), &mut commands);
    let mut examples = 0;
    for command in commands {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines().filter_map(|line| line.trim().strip_prefix("expunged ")) {
            let words = words(line.split("   ").next().unwrap_or(line));
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            examples += 1;
        }
    }
    assert!(examples >= 12, "{examples}");
}

#[test]
fn the_commands_in_the_readmes_console_blocks_parse() {
    const RUNS: [&str; 3] = ["expunged ", "sudo -u expunged expunged ", "cargo run --release -- "];
    let (mut commands, mut inside) = (0, false);
    for line in include_str!("../../README.md").lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            inside = matches!(kind, "console" | "sh");
        } else if let Some(arguments) = RUNS.iter().find_map(|run| line.strip_prefix(run)).filter(|_| inside) {
            let parsed = Cli::try_parse_from(words(arguments));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            commands += 1;
        }
    }
    assert!(commands >= 10, "{commands}: the blocks are not found");
}

#[test]
fn the_readmes_table_of_commands_has_each_command_and_no_other() {
    let told = |line: &str| {
        let line = line.strip_prefix("| `")?.split_once("` |")?.0.replace("\\|", "|");
        let (name, more) = line.split_once(' ').unwrap_or((&line, ""));
        // Subcommands come first, in small letters between bars; all else is arguments.
        let inner = more.split(' ').take_while(|word| word.bytes().all(|c| c.is_ascii_lowercase() || c == b'|'));
        let inner: Vec<_> = inner.filter(|word| *word != "|" && !word.is_empty()).map(|inner| format!("{name} {inner}")).collect();
        Some(if inner.is_empty() { vec![name.to_owned()] } else { inner })
    };
    let table = include_str!("../../README.md").lines().skip_while(|line| !line.starts_with("| command |")).skip(2);
    let mut told: Vec<String> = table.map_while(told).flatten().collect();
    let mut there: Vec<String> = Vec::new();
    for command in Cli::command().get_subcommands() {
        let inner: Vec<_> = command.get_subcommands().map(|inner| format!("{} {}", command.get_name(), inner.get_name())).collect();
        there.extend(if inner.is_empty() { vec![command.get_name().to_owned()] } else { inner });
    }
    told.sort();
    there.sort();
    assert_eq!(told, there);
}

#[test]
fn an_address_or_two_ways_to_name_people_are_no_arguments() {
    let refused = |words: &str| assert!(Cli::try_parse_from(format!("expunged {words}").split(' ')).is_err(), "{words}");
    refused("purge --tenant acme");
    refused("purge --tenant acme --email ann@x.example --account a --id b");
    refused("purge june.csv --tenant acme --email");
    refused("purge --tenant acme --account a");
    refused("purge --tenant acme --id a");
    refused("purge june.csv --tenant ../x");
    refused("imports show 0");
    refused("check june.csv --tenant acme --map E-mail");
}

#[test]
fn the_config_is_named_before_or_after_the_command_and_flags_have_three_states() {
    for words in [["expunged", "--config", "c", "tenant", "list"], ["expunged", "tenant", "list", "--config", "c"]] {
        assert_eq!(Cli::try_parse_from(words).unwrap().config.as_deref(), Some(Path::new("c")));
    }
    let flag = |more: &str| match Cli::try_parse_from(format!("expunged check f --tenant t{more}").split(' ')).unwrap().command {
        Command::Check(args) => args.reading.do_not_track,
        other => panic!("{other:?}"),
    };
    assert_eq!((flag(""), flag(" --do-not-track"), flag(" --do-not-track=false")), (None, Some(true), Some(false)));
}
