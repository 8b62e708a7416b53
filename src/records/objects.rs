//! A JSON lines file: one object a line, of which only the values of known keys are built.
//!
//! What the keys mean is its caller's. Values of other keys are passed over without a look, however deep they nest.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::ops::Range;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::domain::{Reason, Rejection, RowError};

use super::frames::Frames;
use super::names::{Kind, Names, Present, SHOWN_NAMES_MAX};
use super::sheet::{check_text, not_text};
use super::window::Window;
use super::{Limits, ReadError};

/// Most keys whose kind is remembered.
const KINDS_MAX: usize = 1_024;

/// The objects of a file, with values of known keys as `V`.
pub(super) struct Objects<R, V> {
    frames: Frames<R>,
    names: Names,
    kinds: HashMap<String, Kind>,
    /// Whether a row was given: only the first decides over the file.
    begun: bool,
    pub(super) object: Object<V>,
}

/// The known keys of one object.
pub(super) struct Object<V> {
    pub(super) present: Present,
    /// By index of the known name.
    pub(super) values: Vec<Option<V>>,
    /// The first known key that stands twice.
    pub(super) twice: Option<usize>,
    /// Keys that are nearly known, by index of the known name.
    near: Vec<(String, usize)>,
    /// The first keys of the first object, for a message.
    pub(super) keys: Vec<String>,
    wants_keys: bool,
}

/// One line that is not blank. Its object is in [`Objects::object`] until the next is asked for.
pub(super) struct ObjectRow {
    pub(super) line: u64,
    pub(super) stored: Range<u64>,
    pub(super) fault: Option<Reason>,
}

impl<R: Read, V: for<'de> Deserialize<'de>> Objects<R, V> {
    pub(super) fn open(window: Window<R>, names: Names, limits: Limits) -> Result<Self, ReadError> {
        check_text(&window)?;
        let object = Object::new(&names);
        Ok(Self { frames: Frames::new(window, limits), names, kinds: HashMap::new(), begun: false, object })
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether a row was given.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Lines begun so far.
    pub(super) fn line(&self) -> u64 {
        self.frames.line()
    }

    /// The next line that is not blank.
    ///
    /// A first line that is no object is refused: the file is of another format.
    pub(super) fn next(&mut self) -> Result<Option<ObjectRow>, ReadError> {
        loop {
            let Some(frame) = self.frames.next()? else { return Ok(None) };
            let bytes = self.frames.bytes(&frame);
            if frame.fault.is_none() && bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let mut fault = frame.fault;
            self.object.clear();
            if fault.is_none()
                && let Err(error) = self.object.parse(bytes, &self.names, &mut self.kinds)
            {
                let cut = error.is_eof() && !frame.terminated;
                let reason = match std::str::from_utf8(bytes) {
                    _ if cut => Reason::UnterminatedLastRow,
                    Err(_) => Reason::NotText,
                    Ok(_) => Reason::JsonMalformed,
                };
                if !self.begun {
                    return Err(first_malformed(bytes, reason, frame.line).into());
                }
                self.object.clear();
                fault = Some(reason);
            }
            self.begun = true;
            return Ok(Some(ObjectRow { line: frame.line, stored: frame.stored, fault }));
        }
    }

    /// A key of the object that is nearly a known one, where that one is absent.
    pub(super) fn near_miss(&self) -> Option<(&str, usize)> {
        let near = self.object.near.iter();
        near.map(|(key, index)| (key.as_str(), *index)).find(|(_, index)| self.names.near_counts(*index, &self.object.present))
    }

    /// What is wrong with the object, at a known key.
    pub(super) fn error(&self, index: usize, reason: Reason) -> RowError {
        RowError { column: Some(self.names.name(index).to_owned()), reason }
    }
}

impl<V: for<'de> Deserialize<'de>> Object<V> {
    fn new(names: &Names) -> Self {
        let values = (0..names.len()).map(|_| None).collect();
        Self { present: Present::none(names), values, twice: None, near: Vec::new(), keys: Vec::new(), wants_keys: true }
    }

    fn clear(&mut self) {
        self.present.clear();
        self.values.fill_with(|| None);
        self.twice = None;
        self.near.clear();
        self.wants_keys = self.keys.is_empty();
    }

    fn parse(&mut self, bytes: &[u8], names: &Names, kinds: &mut HashMap<String, Kind>) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        ObjectSeed { object: self, names, kinds }.deserialize(&mut json)?;
        json.end()
    }
}

fn first_malformed(bytes: &[u8], reason: Reason, line: u64) -> Rejection {
    let rejection = if bytes.contains(&0) {
        not_text("its first line holds NUL bytes")
    } else if reason == Reason::UnterminatedLastRow {
        super::cut::unterminated_only_row(line)
    } else {
        let message = "the first line is not a JSON object; write one object a line, with no list around them and no line break inside";
        Rejection::new("json_malformed_first", message)
    };
    rejection.at(line)
}

struct ObjectSeed<'a, V> {
    object: &'a mut Object<V>,
    names: &'a Names,
    kinds: &'a mut HashMap<String, Kind>,
}

impl<'de, V: Deserialize<'de>> DeserializeSeed<'de> for ObjectSeed<'_, V> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for ObjectSeed<'_, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { object, names, kinds } = self;
        loop {
            // Only the first object's keys are ever shown.
            let keys = if object.wants_keys { Some(&mut object.keys) } else { None };
            let Some(kind) = map.next_key_seed(KeySeed { names, kinds, keys, near: &mut object.near })? else { return Ok(()) };
            let Kind::Known(index) = kind else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if object.present.insert(index) {
                object.twice = object.twice.or(Some(index));
            }
            object.values[index] = Some(map.next_value()?);
        }
    }
}

struct KeySeed<'a> {
    names: &'a Names,
    kinds: &'a mut HashMap<String, Kind>,
    keys: Option<&'a mut Vec<String>>,
    near: &'a mut Vec<(String, usize)>,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Kind;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Kind, E> {
        let kind = match self.kinds.get(key) {
            Some(kind) => *kind,
            None => {
                let kind = self.names.kind(key);
                // Long or ever new keys are looked up each time: memory stays bounded.
                if self.kinds.len() < KINDS_MAX && key.len() <= 256 {
                    self.kinds.insert(key.to_owned(), kind);
                }
                kind
            }
        };
        if let Kind::Near(index) = kind
            && !self.near.iter().any(|(_, known)| *known == index)
        {
            self.near.push((key.to_owned(), index));
        }
        if let Some(keys) = self.keys.filter(|keys| keys.len() < SHOWN_NAMES_MAX) {
            keys.push(key.to_owned());
        }
        Ok(kind)
    }
}

/// A JSON value as a subject's row needs it.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number of 64 bits, in decimal.
    Whole(String),
    Text(String),
    /// Of a type that no known key has.
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Whole(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Whole(value.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
