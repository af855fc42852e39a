//! The guarded word, spelt in every way that somebody reads as the same.

use crate::bypass::family::Family;
use crate::bypass::trick::{Album, Ground};

use super::path::send_all;

/// Escapes, other alphabets, bytes that somebody drops.
pub(super) fn encoding(ground: &Ground) -> Album {
    let (first, rest) = ground.guarded_parts();
    let mut album = Album::of(Family::PathEncoding);
    let path = |spelling: &[u8], rest: &str| [b"/", spelling, rest.as_bytes()].concat();
    let spellings = spellings(first);
    let whole = spellings.iter().map(|spelling| path(spelling, rest));
    // a part of them in other places
    let some = || spellings.iter().step_by(6);
    let bare = some().map(|spelling| path(spelling, ""));
    let behind = some().map(|spelling| [ground.guarded.as_bytes(), b"/", spelling].concat());
    let folder = ground.open_folder().as_bytes();
    let below = some().map(|spelling| [folder, b"/../", spelling, rest.as_bytes()].concat());
    let all: Vec<_> = whole.chain(bare).chain(behind).chain(below).collect();
    send_all(&mut album, ground, all);
    album
}

fn spellings(word: &str) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = escapes(word).into_iter().map(String::into_bytes).collect();
    all.extend(strangers(word));
    all
}

/// With escapes that stand for the letters themselves, once or twice, right or wrong.
fn escapes(word: &str) -> Vec<String> {
    let all = |write: fn(u8) -> String| word.bytes().map(write).collect::<String>();
    let first = |write: fn(u8) -> String| {
        let mut bytes = word.bytes();
        let head = bytes.next().map(write).unwrap_or_default();
        format!("{head}{}", String::from_utf8_lossy(&bytes.collect::<Vec<_>>()))
    };
    let last = |write: fn(u8) -> String| {
        let (head, tail) = word.split_at_checked(word.len().saturating_sub(1)).unwrap_or((word, ""));
        format!("{head}{}", tail.bytes().map(write).collect::<String>())
    };
    let plain: fn(u8) -> String = |byte| format!("%{byte:02x}");
    let upper: fn(u8) -> String = |byte| format!("%{byte:02X}");
    let twice: fn(u8) -> String = |byte| format!("%25{byte:02x}");
    let nested: fn(u8) -> String = |byte| format!("%25%3{:x}%3{:x}", byte >> 4, byte & 0xf);
    let overlong2: fn(u8) -> String = |byte| format!("%{:02x}%{:02x}", 0xc0 | (byte >> 6), 0x80 | (byte & 0x3f));
    let overlong3: fn(u8) -> String = |byte| format!("%e0%{:02x}%{:02x}", 0x80 | (byte >> 6), 0x80 | (byte & 0x3f));
    let unicode: fn(u8) -> String = |byte| format!("%u00{byte:02x}");
    let full_unicode: fn(u8) -> String = |byte| format!("%uff{:02x}", byte.wrapping_sub(0x20));
    let full: fn(u8) -> String = |byte| {
        let wide = u32::from(byte).saturating_add(0xfee0);
        let mut bytes = [0; 4];
        let wide = char::from_u32(wide).unwrap_or('\u{ff1f}').encode_utf8(&mut bytes);
        wide.bytes().map(|byte| format!("%{byte:02x}")).collect()
    };
    let hexadecimal: fn(u8) -> String = |byte| format!("\\x{byte:02x}");
    let entity: fn(u8) -> String = |byte| format!("&#{byte};");
    let case: fn(u8) -> String = |byte| char::from(byte).to_ascii_uppercase().to_string();
    let ways =
        [plain, upper, twice, nested, overlong2, overlong3, unicode, full_unicode, full, hexadecimal, entity, case];
    ways.into_iter().flat_map(|way| [first(way), last(way), all(way)]).collect()
}

/// With bytes in it that somebody drops, trims or stops at.
fn strangers(word: &str) -> Vec<Vec<u8>> {
    let (head, tail) = word.split_at_checked(word.len() / 2).unwrap_or((word, ""));
    let mut all = Vec::new();
    let marks: [&[u8]; 26] = [
        b"%00",
        b"%01",
        b"%08",
        b"%09",
        b"%0a",
        b"%0d",
        b"%0d%0a",
        b"%1f",
        b"%20",
        b"%7f",
        b"%80",
        b"%ad",
        b"%c2%a0",
        b"%c2%ad",
        b"%e2%80%8b",
        b"%ef%bb%bf",
        b"%",
        b"%2",
        b"%zz",
        b"%u",
        b"\t",
        b"\x01",
        b"\x7f",
        b"\0",
        b"+",
        b".",
    ];
    for mark in marks {
        all.push([mark, word.as_bytes()].concat());
        all.push([head.as_bytes(), mark, tail.as_bytes()].concat());
        all.push([word.as_bytes(), mark].concat());
    }
    let tails: [&[u8]; 11] =
        [b"%00.html", b"%2e", b"..", b"...", b"~", b"~1", b"::$DATA", b".json", b"\xff", b"\xef\xbd\x81", b"%2ehtml"];
    all.extend(tails.map(|tail| [word.as_bytes(), tail].concat()));
    // Turkish i, Kelvin, long s: letters that become plain ones when case is folded
    let folded = word.replace('i', "%c4%b1").replace('k', "%e2%84%aa").replace('s', "%c5%bf");
    all.push(folded.into_bytes());
    all
}
