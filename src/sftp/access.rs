//! Who may log in with what, from where, and until when.
//!
//! The options of a public key as OpenSSH reads them, `from="…"` and `expiry-time="…"`; any other is refused by its name,
//! because ignoring one would open a door that its writer had closed. Names of hosts are not looked up. Values in, answers
//! out: it knows no connection and no clock.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use russh::keys::PublicKey;

/// A key that opens a login, within what stands before it in its line.
#[derive(Clone, Debug)]
pub struct AllowedKey {
    /// The key.
    pub key: PublicKey,
    /// From where, and until when.
    pub options: KeyOptions,
}

impl From<PublicKey> for AllowedKey {
    fn from(key: PublicKey) -> Self {
        Self { key, options: KeyOptions::default() }
    }
}

/// What stands before a key in its line. Nothing: it opens its login from everywhere, for ever.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyOptions {
    text: String,
    from: Option<Vec<Pattern>>,
    until: Option<Timestamp>,
}

impl KeyOptions {
    /// Reads `from="…",expiry-time="…"`. Times without a `Z` are of the zone.
    ///
    /// # Errors
    /// What was found, and what is allowed. Options that cannot be honoured are all named.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let (mut options, mut others) = (Self { text: text.to_owned(), ..Self::default() }, Vec::new());
        for (name, value) in split(text)? {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("from", Some(value)) if options.from.is_none() => options.from = Some(patterns(&value)?),
                ("from", Some(_)) => return Err("option \"from\" stands twice before the key; join the two lists".to_owned()),
                ("expiry-time", Some(value)) => {
                    let until = time(&value, zone)?;
                    options.until = Some(options.until.map_or(until, |earlier| earlier.min(until)));
                }
                ("from" | "expiry-time", None) => return Err(format!("option \"{name}\" before the key has no value; write {name}=\"…\"")),
                _ => others.push(format!("{:?}", name.chars().take(NAME_CHARS_MAX).collect::<String>())),
            }
        }
        if others.is_empty() {
            return Ok(options);
        }
        let names = others.join(", ");
        Err(format!(
            "option {names} before the key cannot be honoured, only from= and expiry-time= can; take it out, or restrict access elsewhere"
        ))
    }

    /// The options as they were written; empty if there are none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Why the key opens its login from nowhere at that time, if so.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Option<&'static str> {
        if self.is_past(now) {
            return Some("it has expired");
        }
        let admits_none = |from: &Vec<Pattern>| from.iter().all(|pattern| pattern.negated);
        self.from.as_ref().is_some_and(admits_none).then_some("its from= only excludes addresses and admits none; add \"*\"")
    }

    fn is_past(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now > until)
    }

    /// Why the key does not open its login from there at that time, if so.
    pub(crate) fn refuse(&self, source: IpAddr, now: Timestamp) -> Option<&'static str> {
        if self.is_past(now) {
            return Some("key expired");
        }
        let from = self.from.as_ref()?;
        (!is_listed(from, source)).then_some("key not for this address")
    }
}

/// One entry of a pattern list.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pattern {
    negated: bool,
    what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    Net(IpNet),
    /// `*` and `?` over the address as text.
    Wild(String),
}

impl Pattern {
    fn matches(&self, source: IpAddr) -> bool {
        match &self.what {
            What::Net(net) => net.contains(&source),
            What::Wild(pattern) => wild(pattern.as_bytes(), source.to_string().as_bytes()),
        }
    }
}

/// OpenSSH's rule: a negated match refuses, wherever it stands; else any match admits.
fn is_listed(patterns: &[Pattern], source: IpAddr) -> bool {
    let mut matching = patterns.iter().filter(|pattern| pattern.matches(source)).peekable();
    matching.peek().is_some() && matching.all(|pattern| !pattern.negated)
}

fn patterns(list: &str) -> Result<Vec<Pattern>, String> {
    list.split(',').map(pattern).collect()
}

fn pattern(entry: &str) -> Result<Pattern, String> {
    let (negated, text) = entry.strip_prefix('!').map_or((false, entry), |rest| (true, rest));
    let what = if text.is_empty() {
        return Err("from= holds an empty entry".to_owned());
    } else if text.contains(['*', '?']) {
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:*?".contains(&byte)) {
            return Err(by_name(text));
        }
        What::Wild(text.to_ascii_lowercase())
    } else {
        What::Net(read_network(text).map_err(|what| if text.contains('/') || text.contains(':') { what } else { by_name(text) })?)
    };
    Ok(Pattern { negated, what })
}

fn by_name(text: &str) -> String {
    format!("from= holds {text:?}; names of hosts are not looked up here, write addresses such as \"192.0.2.0/24\"")
}

/// Reads a network, `192.0.2.0/24`, or one address.
///
/// # Errors
/// What was found, and what to write.
pub fn read_network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net: IpNet =
        text.parse().map(canonical).map_err(|_| format!("{text:?} is no network; write it as \"192.0.2.0/24\" or \"2001:db8::/32\""))?;
    if net.addr() != net.network() {
        return Err(format!("{text:?} names an address within a network; write the network, \"{}\", or the address alone", net.trunc()));
    }
    Ok(net)
}

/// A network of IPv4 that is written as one of IPv6, `::ffff:192.0.2.0/120`, as what it is: so are the addresses that come.
fn canonical(net: IpNet) -> IpNet {
    let mapped = |net: Ipv6Net| Ipv4Net::new(net.addr().to_ipv4_mapped()?, net.prefix_len().checked_sub(96)?).ok();
    match net {
        IpNet::V6(six) => mapped(six).map_or(net, IpNet::V4),
        IpNet::V4(_) => net,
    }
}

/// Whether a text fits a pattern of `*` and `?`.
fn wild(pattern: &[u8], text: &[u8]) -> bool {
    // After a mismatch only the last star is tried again, one byte further: the time is the product of the lengths at most.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(want) if *want == b'?' || *want == text[read] => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((from, skipped)) = star else { return false };
                star = Some((from, skipped + 1));
                (at, read) = (from + 1, skipped + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, each with a `Z` or without.
fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = || format!("expiry-time={text:?} is no time; write it as YYYYMMDD[HHMM[SS]][Z]");
    let (digits, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, TimeZone::UTC),
        None => (text, zone.clone()),
    };
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Ok(0), str::parse::<i8>).map_err(|_| wrong());
    let year = digits[..4].parse::<i16>().map_err(|_| wrong())?;
    let date = DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).map_err(|_| wrong())?;
    Ok(date.to_zoned(zone).map_err(|_| wrong())?.timestamp())
}

/// Names and values, `\"` within a value being a quote.
fn split(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = None;
        if let Some(quoted) = rest.strip_prefix('=') {
            let (read, after) =
                unquote(quoted).ok_or_else(|| format!("the value of option \"{name}\" before the key must stand in quotes"))?;
            (value, rest) = (Some(read), after);
        }
        found.push((name, value));
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(found),
            None => return Err("the options before the key are damaged; separate them by commas, without spaces".to_owned()),
        }
    }
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in inner.char_indices() {
        match c {
            '"' if !escaped => return Some((value, &inner[at + 1..])),
            '"' => {
                value.pop();
                value.push('"');
            }
            c => value.push(c),
        }
        escaped = c == '\\';
    }
    None
}

/// Longest name of an option that is quoted, in characters.
const NAME_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KeyOptions, String> {
        KeyOptions::parse(text, &TimeZone::fixed(jiff::tz::offset(2)))
    }

    #[test]
    fn from_follows_openssh() {
        let check = |list: &str, source: &str, admitted: bool| {
            let options = read(&format!("from=\"{list}\"")).expect(list);
            let refused = options.refuse(source.parse().unwrap(), Timestamp::UNIX_EPOCH);
            assert_eq!(refused.is_none(), admitted, "{list} {source}");
        };
        check("10.0.0.0/8", "10.200.3.4", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.70", false);
        check("192.0.2.*", "192.0.2.70", true);
        check("192.0.2.?", "192.0.2.70", false);
        check("*", "2001:db8::1", true);
        check("2001:DB8::/32", "2001:db8:1::1", true);
        check("2001:db8::*", "2001:db8::1", true);
        check("::/0", "192.0.2.1", false);
        check("0.0.0.0/0,::/0", "::1", true);
        check("10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", false);
        check("!10.1.0.0/16,10.0.0.0/8", "10.1.2.3", false);
        check("!10.1.0.0/16,10.0.0.0/8", "10.2.2.3", true);
        check("!10.1.0.0/16", "192.0.2.1", false);
        check("1?2.***.1", "192.0.2.1", true);
    }

    #[test]
    fn a_network_of_ipv4_may_be_written_as_one_of_ipv6() {
        let check = |text: &str, expected: &str| assert_eq!(read_network(text).expect(text).to_string(), expected);
        check("::ffff:192.0.2.0/120", "192.0.2.0/24");
        check("::ffff:192.0.2.7", "192.0.2.7/32");
        check("::/0", "::/0");
        assert!(read_network("::ffff:192.0.2.7/120").expect_err("an address").contains("write the network, \"192.0.2.0/24\""));
    }

    #[test]
    fn a_key_expires_at_its_time_in_its_zone() {
        let check = |time: &str, last: &str| {
            let options = read(&format!("expiry-time=\"{time}\"")).expect(time);
            let last: Timestamp = last.parse().unwrap();
            let source = IpAddr::from([192, 0, 2, 1]);
            assert_eq!(options.refuse(source, last), None, "{time}");
            assert_eq!(options.refuse(source, last + jiff::SignedDuration::from_secs(1)), Some("key expired"), "{time}");
        };
        check("20270102Z", "2027-01-02T00:00:00Z");
        check("20270102", "2027-01-01T22:00:00Z");
        check("202701020304Z", "2027-01-02T03:04:00Z");
        check("20270102030405", "2027-01-02T01:04:05Z");
        check("20270102Z\",expiry-time=\"20260102Z", "2026-01-02T00:00:00Z");
    }

    #[test]
    fn says_what_it_cannot_honour() {
        let check = |text: &str, expected: &str| {
            let said = read(text).expect_err(text);
            assert!(said.contains(expected), "{text}: {said}");
        };
        check("no-pty", "option \"no-pty\" before the key cannot be honoured");
        check("from=\"10.0.0.0/8\",restrict,command=\"x, \\\"y\\\" z\"", "option \"restrict\", \"command\" before the key");
        check("from=\"\"", "empty entry");
        check("from=\"10.0.0.0/8,\"", "empty entry");
        check("from=\"10.0.0.1/8\"", "write the network, \"10.0.0.0/8\"");
        check("from=\"10.0.0.0/40\"", "is no network");
        check("from=\"*.example.com\"", "names of hosts are not looked up");
        check("from=\"sender.example.com\"", "names of hosts are not looked up");
        check("from=\"10.0.0.0/8\",from=\"*\"", "stands twice");
        check("from=10.0.0.0/8", "must stand in quotes");
        check("from", "has no value");
        check("from=\"*\"x", "damaged");
        check("expiry-time=\"2027\"", "is no time");
        check("expiry-time=\"20271340\"", "is no time");
        check("expiry-time=\"2027010203\"", "is no time");
        check("expiry-time=\"tomorrow\"", "is no time");
    }
}
