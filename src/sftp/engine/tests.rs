//! The engine over a tree in memory: each request, each malformed packet, and random streams in random slices.

mod memory;

use proptest::prelude::*;

use self::memory::Memory;
use super::*;
use crate::sftp::wire::{Code, Writer};

fn packet(kind: u8, fields: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    fields(Writer::new(&mut out, kind)).end();
    out
}

fn init() -> Vec<u8> {
    packet(wire::INIT, |p| p.u32(3))
}

fn open(id: u32, path: &[u8], flags: u32) -> Vec<u8> {
    packet(wire::OPEN, |p| p.u32(id).string(path).u32(flags).u32(0))
}

fn handle(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn write(id: u32, number: u32, offset: u64, bytes: &[u8]) -> Vec<u8> {
    packet(wire::WRITE, |p| p.u32(id).string(&handle(number)).u64(offset).string(bytes))
}

/// The packet with so many bytes after its fields.
fn overlong(mut packet: Vec<u8>, over: usize) -> Vec<u8> {
    packet.extend(vec![9; over]);
    let length = u32::try_from(packet.len() - 4).unwrap();
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet
}

fn read(id: u32, number: u32, offset: u64, length: u32) -> Vec<u8> {
    packet(wire::READ, |p| p.u32(id).string(&handle(number)).u64(offset).u32(length))
}

fn by_handle(kind: u8, id: u32, number: u32) -> Vec<u8> {
    packet(kind, |p| p.u32(id).string(&handle(number)))
}

fn by_path(kind: u8, id: u32, path: &[u8]) -> Vec<u8> {
    packet(kind, |p| p.u32(id).string(path))
}

fn extended(id: u32, name: &str, fields: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
    packet(wire::EXTENDED, |p| fields(p.u32(id).string(name.as_bytes())))
}

/// Feeds all of it, draining the output as a transport does. Gives the output, and the framing error that ended it.
fn converse(engine: &mut Engine<Memory>, slices: &[&[u8]]) -> (Vec<u8>, Option<Framing>) {
    let mut all = Vec::new();
    for slice in slices {
        let mut rest: &[u8] = slice;
        loop {
            let mut out = Vec::new();
            let result = engine.feed(rest, &mut out);
            assert!(out.len() <= OUTPUT_BYTES_MAX + TRANSFER_BYTES_MAX as usize + 64, "{} bytes of output", out.len());
            let full = out.len() >= OUTPUT_BYTES_MAX;
            all.extend(out);
            match result {
                Ok(taken) => rest = &rest[taken..],
                Err(framing) => return (all, Some(framing)),
            }
            if !full {
                assert!(rest.is_empty(), "left over without a reason");
                break;
            }
        }
    }
    (all, None)
}

/// One line a reply: its type, id and what it says.
fn describe(mut output: &[u8]) -> String {
    let mut lines = String::new();
    while !output.is_empty() {
        let mut fields = Reader::new(output);
        let whole = fields.u32().unwrap() as usize;
        let mut fields = Reader::new(&output[4..4 + whole]);
        output = &output[4 + whole..];
        let kind = fields.u8().unwrap();
        let id = fields.u32().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        lines += &match kind {
            wire::VERSION => format!("version {id}"),
            wire::STATUS => match fields.u32().unwrap() {
                0 => format!("{id} ok"),
                code => format!("{id} status {code}: {}", text(fields.string().unwrap())),
            },
            wire::HANDLE => format!("{id} handle {}", number_of(fields.string().unwrap()).unwrap()),
            wire::DATA => format!("{id} data {:?}", text(fields.string().unwrap())),
            wire::ATTRS => format!("{id} attributes {:?}", fields.attributes().unwrap().size),
            wire::NAME => {
                let mut line = format!("{id} names");
                for _ in 0..fields.u32().unwrap() {
                    line += &format!(" {}", text(fields.string().unwrap()));
                    fields.string().unwrap();
                    fields.attributes().unwrap();
                }
                line
            }
            wire::EXTENDED_REPLY => {
                let mut line = format!("{id} reply");
                while let Ok(number) = fields.u64() {
                    line += &format!(" {number}");
                }
                line
            }
            other => panic!("reply of type {other}"),
        };
        lines.push('\n');
    }
    lines
}

fn check(requests: &[Vec<u8>], expected: &str) {
    let stream = [init()].into_iter().chain(requests.iter().cloned()).flatten().collect::<Vec<_>>();
    let (output, framing) = converse(&mut Engine::new(Memory::default(), 4), &[&stream]);
    assert_eq!(framing, None);
    assert_eq!(describe(&output), format!("version 3\n{expected}"));
}

const CREATE: u32 = 2 | 8;

#[test]
fn writes_reads_and_looks_at_a_file() {
    check(
        &[
            open(1, b"a", CREATE),
            write(2, 1, 5, b"world"),
            write(3, 1, 0, b"hello"),
            write(4, 1, 0, b""),
            by_handle(wire::FSTAT, 5, 1),
            packet(wire::FSETSTAT, |p| p.u32(6).string(&handle(1)).u32(8).u32(1).u32(2)),
            read(7, 1, 3, 4),
            read(8, 1, 10, 4),
            read(9, 1, u64::MAX, u32::MAX),
            extended(10, "fsync@openssh.com", |p| p.string(&handle(1))),
            by_handle(wire::CLOSE, 11, 1),
            by_path(wire::STAT, 12, b"a"),
            by_path(wire::LSTAT, 13, b"b"),
            packet(wire::SETSTAT, |p| p.u32(14).string(b"a").u32(0)),
        ],
        "1 handle 1\n2 ok\n3 ok\n4 ok\n5 attributes Some(10)\n6 ok\n7 data \"lowo\"\n8 status 1: end of file\n9 status 1: end of file\n10 ok\n11 ok\n\
         12 attributes Some(10)\n13 status 2: no such file\n14 ok\n",
    );
}

#[test]
fn lists_renames_and_removes() {
    check(
        &[
            open(1, b"a", CREATE),
            open(2, b"b", CREATE),
            by_path(wire::OPENDIR, 3, b"/"),
            by_handle(wire::READDIR, 4, 3),
            by_handle(wire::READDIR, 5, 3),
            by_handle(wire::CLOSE, 6, 3),
            packet(wire::RENAME, |p| p.u32(7).string(b"a").string(b"b")),
            extended(8, "posix-rename@openssh.com", |p| p.string(b"a").string(b"b")),
            by_path(wire::REMOVE, 9, b"b"),
            by_path(wire::REMOVE, 10, b"b"),
            by_path(wire::REALPATH, 11, b"."),
            by_path(wire::OPENDIR, 12, b"x"),
            packet(wire::MKDIR, |p| p.u32(13).string(b"d").u32(0)),
            by_path(wire::RMDIR, 14, b"d"),
        ],
        "1 handle 1\n2 handle 2\n3 handle 3\n4 names a b\n5 status 1: end of listing\n6 ok\n7 status 4: it is there\n8 ok\n9 ok\n\
         10 status 2: no such file\n11 names /.\n12 status 2: no such file\n13 status 3: no folders\n14 status 3: no folders\n",
    );
}

#[test]
fn long_listings_are_not_piled_up() {
    let names = |count: usize| (0..count).map(|n| (n.to_string().into_bytes(), Vec::new())).collect();
    let (list, close) = (|id| by_path(wire::OPENDIR, id, b"/"), |id, number| by_handle(wire::CLOSE, id, number));
    for (count, expected) in [
        (
            LISTED_MAX / 2 - 1,
            "1 handle 1\n2 handle 2\n3 handle 3\n4 status 4: too many names in open folders; close one\n5 ok\n6 handle 4\n",
        ),
        (LISTED_MAX, "1 handle 1\n2 status 4: too many names in open folders; close one\n3 ok\n4 handle 2\n"),
    ] {
        let requests = if count < LISTED_MAX {
            vec![list(1), list(2), list(3), list(4), close(5, 1), list(6)]
        } else {
            vec![list(1), list(2), close(3, 1), list(4)]
        };
        let mut engine = Engine::new(Memory { files: names(count), ..Memory::default() }, 64);
        let (output, _) = converse(&mut engine, &[&[init(), requests.concat()].concat()]);
        assert_eq!(describe(&output), format!("version 3\n{expected}"), "{count}");
    }
}

/// As FileZilla asks.
#[test]
fn four_looks_into_one_listing_at_once_are_answered_in_order() {
    let look = |id| by_handle(wire::READDIR, id, 2);
    check(
        &[open(1, b"a", CREATE), by_path(wire::OPENDIR, 2, b"/"), look(3), look(4), look(5), look(6)],
        "1 handle 1\n2 handle 2\n3 names a\n4 status 1: end of listing\n5 status 1: end of listing\n6 status 1: end of listing\n",
    );
}

#[test]
fn answers_extensions_and_what_it_does_not_offer() {
    check(
        &[
            extended(1, "limits@openssh.com", |p| p),
            extended(2, "statvfs@openssh.com", |p| p.string(b"/")),
            extended(3, "hardlink@openssh.com", |p| p.string(b"a").string(b"b")),
            by_path(wire::READLINK, 4, b"a"),
            packet(wire::SYMLINK, |p| p.u32(5).string(b"a").string(b"b")),
            packet(77, |p| p.u32(6).string(b"?")),
            extended(7, "limits@openssh.com", |p| p),
        ],
        "1 reply 263168 261120 261120 4\n2 reply 4096 4096 9 8 7 6 5 5 0 0 218\n3 status 8: this extension is not offered\n\
         4 status 8: there are no links here\n5 status 8: links cannot be made here\n6 status 8: this request is not offered\n\
         7 reply 263168 261120 261120 4\n",
    );
}

#[test]
fn refuses_the_fifth_of_four_handles_and_never_gives_a_number_again() {
    check(
        &[
            open(1, b"a", CREATE),
            open(2, b"b", CREATE),
            by_path(wire::OPENDIR, 3, b"/"),
            open(4, b"c", CREATE),
            open(5, b"d", CREATE),
            by_path(wire::OPENDIR, 6, b"/"),
            by_handle(wire::CLOSE, 7, 2),
            open(8, b"d", CREATE),
            write(9, 2, 0, b"x"),
            write(10, 3, 0, b"x"),
            by_handle(wire::CLOSE, 11, 2),
            read(12, 2, 0, 1),
            read(13, 3, 0, 1),
            by_handle(wire::READDIR, 14, 1),
            packet(wire::CLOSE, |p| p.u32(15).string(b"not four")),
            packet(wire::WRITE, |p| p.u32(16).string(b"").u64(0).string(b"x")),
            write(17, 1, u64::MAX, b"x"),
        ],
        "1 handle 1\n2 handle 2\n3 handle 3\n4 handle 4\n5 status 4: too many open files\n6 status 4: too many open files\n7 ok\n8 handle 5\n\
         9 status 4: no such handle\n10 status 4: the handle is a folder's\n11 status 4: no such handle\n12 status 4: no such handle\n\
         13 status 4: the handle is a folder's\n14 status 4: the handle is a file's\n15 status 4: no such handle\n16 status 4: no such handle\n\
         17 status 4: the offset is too large\n",
    );
}

#[test]
fn closes_at_any_malformed_packet() {
    let raw = |length: u32, rest: &[u8]| [&length.to_be_bytes(), rest].concat();
    let check = |greeted: bool, bytes: Vec<u8>, expected: Framing| {
        let stream = if greeted { [init(), bytes].concat() } else { bytes };
        let whole = converse(&mut Engine::new(Memory::default(), 4), &[&stream]);
        assert_eq!(whole.1, Some(expected), "{stream:?}");
        assert_eq!(describe(&whole.0), if greeted { "version 3\n" } else { "" });
        let single = stream.iter().map(std::slice::from_ref).collect::<Vec<_>>();
        assert_eq!(converse(&mut Engine::new(Memory::default(), 4), &single), whole, "byte by byte");
    };
    check(true, raw(0, b""), Framing::Length(0));
    check(true, raw(263_169, b""), Framing::Length(263_169));
    check(true, raw(u32::MAX, b""), Framing::Length(u32::MAX));
    check(true, raw(300_000, &[wire::WRITE]), Framing::Length(300_000));
    check(true, raw(1, &[wire::STAT]), Framing::Fields(wire::STAT));
    check(true, raw(9, &[wire::STAT, 0, 0, 0, 1, 0, 0, 0, 9]), Framing::Fields(wire::STAT));
    check(true, raw(5, &[wire::WRITE, 0, 0, 0, 1]), Framing::Fields(wire::WRITE));
    check(true, raw(22, &[&[wire::WRITE, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0; 11], &[2, 0]].concat()), Framing::Fields(wire::WRITE));
    check(true, packet(wire::WRITE, |p| p.u32(1).string(&[0; 257]).u64(0).string(b"")), Framing::Fields(wire::WRITE));
    check(true, by_path(wire::STAT, 1, b"a\0b"), Framing::Fields(wire::STAT));
    check(true, open(1, b"a\0b", CREATE), Framing::Fields(wire::OPEN));
    check(true, init(), Framing::Turn(wire::INIT));
    check(false, by_path(wire::STAT, 1, b"a"), Framing::Turn(wire::STAT));
    check(false, write(1, 1, 0, b"x"), Framing::Turn(wire::WRITE));
}

/// As rclone 1.60 ends an upload: a WRITE of a full buffer, of which only so much counts as was read into it. OpenSSH passes over
/// what a packet has beyond its fields.
#[test]
fn passes_over_what_a_packet_has_beyond_its_fields() {
    let requests = [
        init(),
        open(1, b"a", CREATE),
        write(2, 1, 0, b"hello"),
        write(3, 1, 5, b""),
        read(4, 1, 0, 99),
        by_handle(wire::FSTAT, 5, 1),
        extended(6, "limits@openssh.com", |p| p),
        packet(wire::RENAME, |p| p.u32(7).string(b"a").string(b"b")),
        by_path(wire::STAT, 8, b"b"),
        packet(wire::SETSTAT, |p| p.u32(9).string(b"b").u32(0)),
        by_handle(wire::CLOSE, 10, 1),
    ];
    let stream = requests.into_iter().flat_map(|packet| overlong(packet, 30)).collect::<Vec<_>>();
    let whole = converse(&mut Engine::new(Memory::default(), 4), &[&stream]);
    assert_eq!(whole.1, None);
    assert_eq!(
        describe(&whole.0),
        "version 3\n1 handle 1\n2 ok\n3 ok\n4 data \"hello\"\n5 attributes Some(5)\n6 reply 263168 261120 261120 4\n7 ok\n\
         8 attributes Some(5)\n9 ok\n10 ok\n"
    );
    let single = stream.iter().map(std::slice::from_ref).collect::<Vec<_>>();
    assert_eq!(converse(&mut Engine::new(Memory::default(), 4), &single), whole, "byte by byte");
}

#[test]
fn passes_a_write_on_as_it_comes_and_answers_it_once() {
    let mut engine = Engine::new(Memory::default(), 4);
    let body = vec![b'x'; 200_000];
    let stream = [init(), open(1, b"a", CREATE), write(2, 1, 50, &body), by_handle(wire::FSTAT, 3, 1)].concat();
    let slices = stream.chunks(65_000).collect::<Vec<_>>();
    let (output, framing) = converse(&mut engine, &slices);
    assert_eq!(framing, None);
    assert_eq!(describe(&output), "version 3\n1 handle 1\n2 ok\n3 attributes Some(200050)\n");
    assert!(engine.tree.writes.len() > 2, "in pieces: {:?}", engine.tree.writes);
    assert!(engine.held.capacity() < 4096, "no reassembly: {}", engine.held.capacity());
}

#[test]
fn stops_at_a_mebibyte_of_output_and_goes_on_where_it_stopped() {
    let mut engine = Engine::new(Memory::default(), 4);
    let requests = [init(), open(1, b"a", CREATE), write(2, 1, 0, &vec![b'x'; 261_120])].concat();
    converse(&mut engine, &[&requests]);
    let reads = (0..100).flat_map(|id| read(id, 1, 0, u32::MAX)).collect::<Vec<_>>();
    let (mut out, mut taken) = (Vec::new(), 0);
    taken += engine.feed(&reads, &mut out).unwrap();
    assert!(taken < reads.len() && out.len() < OUTPUT_BYTES_MAX + 262_144);
    assert_eq!(engine.feed(&reads[taken..], &mut out), Ok(0), "nothing before the output is taken");
    let mut total = out.len();
    while taken < reads.len() {
        out.clear();
        taken += engine.feed(&reads[taken..], &mut out).unwrap();
        total += out.len();
    }
    assert_eq!(total, 100 * (261_120 + 13));
}

/// Requests that mostly make sense together.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let path = prop_oneof![Just(b"a".to_vec()), Just(b"b".to_vec()), Just(b"/".to_vec()), proptest::collection::vec(1_u8.., 0..9)];
    let bytes = proptest::collection::vec(any::<u8>(), 0..3000);
    prop_oneof![
        (any::<u32>(), path.clone(), 0..64_u32).prop_map(|(id, path, flags)| open(id, &path, flags)),
        (any::<u32>(), 0..6_u32, 0..9000_u64, bytes, 0..40_usize)
            .prop_map(|(id, number, offset, bytes, over)| overlong(write(id, number, offset, &bytes), over)),
        (any::<u32>(), 0..6_u32, 0..9000_u64, any::<u32>()).prop_map(|(id, number, offset, length)| read(id, number, offset, length)),
        (7..21_u8, any::<u32>(), path.clone()).prop_map(|(kind, id, path)| by_path(kind, id, &path)),
        (prop_oneof![Just(wire::CLOSE), Just(wire::FSTAT), Just(wire::READDIR)], any::<u32>(), 0..6_u32)
            .prop_map(|(kind, id, number)| by_handle(kind, id, number)),
        (any::<u32>(), path.clone(), path.clone()).prop_map(|(id, from, to)| packet(wire::RENAME, |p| p.u32(id).string(&from).string(&to))),
        (any::<u32>(), path).prop_map(|(id, path)| extended(id, "statvfs@openssh.com", |p| p.string(&path))),
        (any::<u8>(), any::<u32>()).prop_map(|(kind, id)| packet(kind, |p| p.u32(id))),
    ]
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let requests = proptest::collection::vec(any_request(), 0..40);
    let faults = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (requests, faults, any::<bool>()).prop_map(|(requests, faults, greeted)| {
        let mut stream = if greeted { init() } else { Vec::new() };
        stream.extend(requests.concat());
        for (place, byte) in faults {
            if !stream.is_empty() {
                let place = place.index(stream.len());
                stream[place] = byte;
            }
        }
        stream
    })
}

proptest! {
    #[test]
    fn the_cutting_of_the_stream_changes_nothing(stream in any_stream(), cuts in proptest::collection::vec(1..5000_usize, 1..20)) {
        let mut one = Engine::new(Memory::default(), 4);
        let whole = converse(&mut one, &[&stream]);
        let (mut slices, mut rest): (Vec<&[u8]>, &[u8]) = (Vec::new(), &stream);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (slice, after) = rest.split_at((*cut).min(rest.len()));
            slices.push(slice);
            rest = after;
        }
        let mut other = Engine::new(Memory::default(), 4);
        prop_assert_eq!(converse(&mut other, &slices), whole);
        prop_assert_eq!(one.tree.files, other.tree.files);
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        converse(&mut Engine::new(Memory::default(), 4), &[&init(), &bytes]);
        converse(&mut Engine::new(Memory::default(), 4), &[&bytes]);
    }
}

#[test]
fn statuses_have_the_numbers_of_the_protocol() {
    let codes = [Code::Ok, Code::Eof, Code::NoSuchFile, Code::PermissionDenied, Code::Failure, Code::OpUnsupported];
    assert_eq!(codes.map(|code| code as u32), [0, 1, 2, 3, 4, 8]);
}
