//! The picture in `src/lib.rs` is a fact: modules use lower layers only, and what is below the rim neither waits nor
//! knows the time, the environment or chance. What it says must hold is held by tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each module and its layer, as the picture has it.
const LAYERS: [(&str, u8); 16] = [
    ("main", 9),
    ("cli", 9),
    ("daemon", 8),
    ("config", 7),
    ("sftp", 6),
    ("pipeline", 5),
    ("shutdown", 4),
    ("spool", 3),
    ("purge", 2),
    ("load", 2),
    ("scrub", 2),
    ("records", 1),
    ("report", 1),
    ("store", 1),
    ("guide", 1),
    ("domain", 0),
];

/// Layer 0 twice over: words, and how we speak.
const TELEMETRY: (&str, u8) = ("telemetry", 0);

/// The lowest layer that may wait and look around.
const RIM: u8 = 4;

/// Modules of different layers that only the disk joins.
const STRANGERS: [(&str, &str); 1] = [("sftp", "pipeline")];

/// What nothing below the rim may mention.
const OF_THE_RIM: [&str; 9] =
    ["tokio", "SystemTime", "Instant::now", "Timestamp::now", "Zoned::now", "getrandom", "std::env", "thread::sleep", "rand::"];

#[test]
fn the_table_is_the_picture() {
    let text = std::fs::read_to_string(src().join("lib.rs")).unwrap();
    let mut drawn = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! ")) {
        let (Some(layer), Some(rest)) = (line.chars().next().and_then(|c| c.to_digit(10)), line.get(1..)) else { continue };
        if let Some(rest) = rest.strip_prefix("  ") {
            // Names stand two spaces apart at most; the words about them stand further off.
            let names = rest.split("   ").next().unwrap_or(rest);
            drawn.extend(names.split([' ', ',']).filter(|name| !name.is_empty()).map(|name| (name.to_owned(), layer as u8)));
        }
    }
    let table: BTreeSet<(String, u8)> = layers().map(|(name, layer)| (name.to_owned(), layer)).collect();
    assert_eq!(drawn, table, "left: the picture in src/lib.rs; right: the table in tests/layers.rs");
}

#[test]
fn modules_use_lower_layers_only() {
    let mut faults = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let (module, depth) = module_of(&file);
        let Some(layer) = layer(&module) else {
            faults.push(format!("{}: module \"{module}\" has no layer in the picture", file.display()));
            continue;
        };
        for used in uses(&text, depth) {
            let stranger = STRANGERS.iter().any(|pair| *pair == (&module, &used) || *pair == (&used, &module));
            match self::layer(&used) {
                Some(lower) if used == module || (lower < layer && !stranger) || (module == "main" && used == "cli") => {}
                Some(other) => faults.push(format!("{}: {module} ({layer}) uses {used} ({other})", file.display())),
                None => {}
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_below_the_rim_waits_or_knows_the_time() {
    let mut faults = Vec::new();
    for file in sources() {
        let (module, _) = module_of(&file);
        let is_test = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"))
            || file.components().any(|part| part.as_os_str() == "tests");
        if is_test || layer(&module).is_none_or(|layer| layer >= RIM) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for (n, line) in product(&text).lines().enumerate() {
            for word in OF_THE_RIM.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{}: {word}", file.display(), n + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_of_the_twelve_invariants_names_the_tests_that_hold_it() {
    let there = tests();
    let text = std::fs::read_to_string(src().join("lib.rs")).unwrap();
    let list = text.split("//! What must hold").nth(1).expect("the list of what must hold");
    let list: String = list.lines().skip(1).map_while(|line| line.strip_prefix("//!")).map(|line| format!("{line}\n")).collect();
    let mut invariants = 0;
    for invariant in list.split("**").skip(1).collect::<Vec<_>>().chunks(2) {
        let named: Vec<&str> = invariant[1].split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "\"{}\" names no test", invariant[0]);
        for name in named {
            assert!(there.contains(name), "\"{}\": no test {name}", invariant[0]);
        }
        invariants += 1;
    }
    assert_eq!(invariants, 12);
}

#[test]
fn reads_every_way_to_name_a_module() {
    let check = |text: &str, depth: usize, expected: &[&str]| {
        let found: Vec<String> = uses(text, depth).into_iter().collect();
        assert_eq!(found, expected, "{text}");
    };
    check("use crate::store::Store;", 1, &["store"]);
    check("use crate::{domain::{A, B}, spool::X, report};", 1, &["domain", "report", "spool"]);
    check("let x = crate::purge::run(); // not crate::cli", 1, &["purge"]);
    check("/// See [`crate::cli`].\nuse expunged::pipeline::P;", 1, &["pipeline"]);
    check("use super::super::cli::X; use super::store;", 2, &["cli"]);
    check("use super::store::X;", 1, &["store"]);
}

#[test]
fn looks_at_all_of_a_file_but_its_inline_tests() {
    let check = |text: &str, expected: &str| assert_eq!(product(text), expected, "{text}");
    check("use a;\n#[cfg(test)]\nmod tests {\n    use b;\n}\n", "use a;");
    check("use a;\n#[cfg(test)]\nmod tests;\nuse b;\n", "use a;\n#[cfg(test)]\nmod tests;\nuse b;");
    check(
        "#[cfg(test)]\nmod testing;\n#[cfg(test)]\nmod tests;\nuse a;\n#[cfg(test)]\nmod more {\n",
        "#[cfg(test)]\nmod testing;\n#[cfg(test)]\nmod tests;\nuse a;",
    );
    check("#[cfg(test)]\nimpl A {}\nmod inner {\n    use a;\n}\n", "#[cfg(test)]\nimpl A {}\nmod inner {\n    use a;\n}");
    check("use a; // and not b\n", "use a; ");
}

fn layers() -> impl Iterator<Item = (&'static str, u8)> {
    LAYERS.into_iter().chain([TELEMETRY])
}

fn layer(module: &str) -> Option<u8> {
    layers().find(|(name, _)| *name == module).map(|(_, layer)| layer)
}

/// Modules at the root of the crate that a text names, by `crate::`, `expunged::`, or enough `super::`.
fn uses(text: &str, depth: usize) -> BTreeSet<String> {
    let text: String = text.lines().map(code).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    let roots = ["crate::".to_owned(), "expunged::".to_owned(), "super::".repeat(depth)];
    for root in roots {
        for (at, _) in text.match_indices(&root) {
            let before = text[..at].chars().next_back();
            let whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            if whole {
                firsts(&text[at + root.len()..], &mut found);
            }
        }
    }
    found
}

/// The first names of a path or of a group of paths.
fn firsts(path: &str, found: &mut BTreeSet<String>) {
    let Some(group) = path.trim_start().strip_prefix('{') else {
        found.extend(first(path));
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(first(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn first(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// A line without its comment. Good enough for paths: a `//` within a text only hides what follows it there.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// A file without its inline tests, which stand last. Tests that are only declared are files of their own.
pub(crate) fn product(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(code).collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'));
    lines[..tests.unwrap_or(lines.len())].join("\n")
}

/// The module at the root that a file belongs to, and how deep the file is.
fn module_of(file: &Path) -> (String, usize) {
    let inner = file.strip_prefix(src()).expect("a file of src").with_extension("");
    let mut parts: Vec<String> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts[0].clone(), parts.len())
}

/// The names of all tests, in the library and here.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in sources().into_iter().chain(below(&root().join("tests"))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let tests = lines.windows(2).filter(|pair| pair[0] == "#[test]" || pair[0].starts_with("#[tokio::test"));
        found.extend(tests.filter_map(|pair| first(pair[1].trim_start_matches("async ").strip_prefix("fn ")?)));
    }
    found
}

/// Every source file but the root.
pub(crate) fn sources() -> Vec<PathBuf> {
    let mut found = below(&src());
    found.retain(|path| *path != src().join("lib.rs"));
    assert!(found.len() > 5, "{found:?}");
    found
}

/// The Rust files below a folder, sorted.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            found.extend(below(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn src() -> PathBuf {
    root().join("src")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
