//! What a YAML stream means, where its fields stand, and what it may not hold.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/field_path.rs"]
mod field_path;

use entrance::files::yaml::{self, Document, MOST_BYTES, MOST_DEPTH, MOST_NODES};
use serde_json::{Value, json};

use field_path::path;

fn documents(text: &str) -> Vec<Document> {
    yaml::parse(text.as_bytes()).unwrap_or_else(|problem| panic!("{problem}\n{text}"))
}

fn bodies(text: &str) -> Vec<Value> {
    documents(text).into_iter().map(|document| document.body).collect()
}

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    yaml::parse(bytes.as_ref()).map_or_else(|problem| problem.to_string(), |documents| format!("{documents:?}"))
}

const ALIAS: &str =
    "`*` begins an alias, which is not supported; put a text that begins with `*` in quotes, write anything else out";
const ANCHOR: &str =
    "`&` begins an anchor, which is not supported; put a text that begins with `&` in quotes, write anything else out";
const HERE: &str = "check indentation, colons, quotes and brackets here and above";

#[test]
fn what_makes_a_text_mean_two_things_is_refused_where_it_stands() {
    let table = [
        ("a: &x 1", "1:4", ANCHOR),
        ("a:\n  - b: &x\n      c: 1", "2:8", ANCHOR),
        ("- &x a: 1", "1:3", ANCHOR),
        ("- {&x a: 1}", "1:4", ANCHOR),
        ("a: 1\nb: &x [*x]", "2:4", ANCHOR),
        ("a: 1\nb: & c", "2:4", ANCHOR),
        ("a: *x", "1:4", ALIAS),
        ("hosts: [orders.example.com, *.example.com]", "1:29", ALIAS),
        ("hosts:\n- *.example.com\n", "2:3", ALIAS),
        ("hosts:\n- *\n", "2:3", ALIAS),
        ("a: 1\n<<: {b: 1}", "2:1", "the merge key `<<` is not supported; write the merged fields out"),
        ("a: {<<: {b: 1}}", "1:5", "the merge key `<<` is not supported; write the merged fields out"),
        ("a: 1\nb: 2\na: 3", "3:1", "the key `a` stands in line 1 already; remove one of the two"),
        ("{a: 1, \"a\": 2}", "1:8", "the key `a` stands in line 1 already; remove one of the two"),
        ("a:\n  x: 1\n  y: {z: 1}\n  x: 2", "4:3", "the key `x` stands in line 2 already; remove one of the two"),
        (
            "---\na: 1\n---\nb: 1\nc:\n- d: 1\n  d: 2",
            "7:3",
            "the key `d` stands in line 6 already; remove one of the two",
        ),
        ("a: 1\n7: b", "2:1", "the key `7` is a number, and must be a string; put it in quotes"),
        ("1.5: b", "1:1", "the key `1.5` is a number, and must be a string; put it in quotes"),
        ("a: {true: b}", "1:5", "the key `true` is a boolean, and must be a string; put it in quotes"),
        ("~: b", "1:1", "the key `~` is null, and must be a string; put it in quotes"),
        ("!!int '1': b", "1:1", "the key `1` is a number, and must be a string; put it in quotes"),
        (": b", "1:1", "the key `` is null, and must be a string; put it in quotes"),
        ("? [a]\n: b", "1:3", "a list cannot be a key, which must be a string; write a key before it"),
        ("x: 1\n? - a\n: b", "2:3", "a list cannot be a key, which must be a string; write a key before it"),
        ("{a: b}: c", "1:1", "a mapping cannot be a key, which must be a string; write a key before it"),
        ("a: !own b", "1:4", "the tag `!own` is not supported; write the value without a tag"),
        ("a: ! b", "1:4", "the tag `!` is not supported; write the value without a tag"),
        ("- !!binary aGk=", "1:3", "the tag `!!binary` is not supported; write the value without a tag"),
        ("- !!set {a: b}", "1:3", "the tag `!!set` is not supported; write the value without a tag"),
        (
            "!<tag:example.com,2000:x> b",
            "1:1",
            "the tag `tag:example.com,2000:x` is not supported; write the value without a tag",
        ),
        (
            "%TAG !! tag:example.com,2000:\n--- !!str b",
            "2:5",
            "the tag `tag:example.com,2000:str` is not supported; write the value without a tag",
        ),
        ("a: !!int b", "1:4", "`b` is no value of the tag `!!int`; write it without a tag"),
        ("a: !!bool 1", "1:4", "`1` is no value of the tag `!!bool`; write it without a tag"),
        ("a: !!null 1", "1:4", "`1` is no value of the tag `!!null`; write it without a tag"),
        ("a: !!seq b", "1:4", "`b` is no value of the tag `!!seq`; write it without a tag"),
        ("a: !!map [b]", "1:4", "a list is no value of the tag `!!map`; write it without a tag"),
        ("a: !!str {b: 1}", "1:4", "a mapping is no value of the tag `!!str`; write it without a tag"),
    ];
    for (text, place, message) in table {
        assert_eq!(refusal(text), format!("{place}: {message}"), "{text}");
    }
}

#[test]
fn numbers_that_json_cannot_carry_are_refused_where_they_stand() {
    for number in [
        ".inf",
        "-.INF",
        "+.Inf",
        ".nan",
        ".NaN",
        "1e999",
        "-1e309",
        "18446744073709551616",
        "-9223372036854775809",
        "0x10000000000000000",
        "0o10000000000000000000000",
    ] {
        let message = format!("2:4: `{number}` is a number that JSON cannot carry; put it in quotes if it is a text");
        assert_eq!(refusal(format!("a: 1\nb: {number}")), message);
        assert_eq!(bodies(&format!("'{number}'")), [json!(number)]);
    }
}

#[test]
fn aliases_stand_for_what_they_name_where_that_is_allowed() {
    let read = |text: &str| match yaml::parse_with_aliases(text.as_bytes()) {
        Ok(documents) => documents.into_iter().map(|document| document.body).collect::<Value>().to_string(),
        Err(problem) => problem.to_string(),
    };
    assert_eq!(
        read("a: &x {b: [1, &y 2]}\nc: *x\nd: [*y, *x]"),
        r#"[{"a":{"b":[1,2]},"c":{"b":[1,2]},"d":[2,{"b":[1,2]}]}]"#
    );
    assert_eq!(read("[&x 1, &x 2, *x]"), "[[1,2,2]]");
    let laughs = |last: usize| {
        let line = |at: usize| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 9].join(", "));
        "a0: &a0 ha\n".to_owned() + &(1..=last).map(line).collect::<String>()
    };
    assert!(read(&laughs(3)).starts_with(r#"[{"a0":"ha","a1":["ha","#));
    let long = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 18), ["*a"; 5].join(", "));
    let deep = |levels| {
        format!("a: &a {}1{}\nb: {}*a{}", "[".repeat(40), "]".repeat(40), "[".repeat(levels), "]".repeat(levels))
    };
    assert!(read(&deep(MOST_DEPTH - 41)).starts_with("[{"));
    for (text, complaint) in [
        (laughs(9).as_str(), "7:30: aliases repeat more than 1048576 values and bytes; write less of them"),
        (&long, "2:17: aliases repeat more than 1048576 values and bytes; write less of them"),
        (
            &deep(MOST_DEPTH - 40),
            "2:28: with this alias lists and mappings nest more than 64 levels deep; flatten them",
        ),
        ("a: &x [*x]", "1:8: this alias stands for a key, or for what it is a part of; write it out"),
        ("a: &x b\n*x : c", &format!("2:1: {ALIAS}")),
        ("a: &x {b: 1}\nc: {<<: *x}", "2:5: the merge key `<<` is not supported; write the merged fields out"),
    ] {
        assert_eq!(read(text), complaint);
    }
    let lines = yaml::parse_with_aliases(b"a: &x\n  b: 1\nc: *x").unwrap().remove(0).lines;
    assert_eq!((lines.line(&path("a.b")), lines.line(&path("c.b"))), (Some((2, 3)), Some((3, 1))));
}

#[test]
fn what_is_not_yaml_is_refused_with_a_hint() {
    let begins = "no plain value begins with this character; put the value in quotes";
    let quote = |what: &str| {
        format!(
            "the quoted text that begins here is not valid YAML: {what}; end it with the same quote, and write a backslash in double quotes twice"
        )
    };
    let early = |what: &str| format!("the file ends too early: {what}; check colons, quotes and brackets above");
    let wrong = |what: &str| format!("is not valid YAML: {what}; {HERE}");
    let table = [
        ("a: @b", "1:4", begins.to_owned()),
        ("a: [`b`]", "1:5", begins.to_owned()),
        ("a: %b", "1:4", begins.to_owned()),
        ("a:\n  b: \"c", "2:6", quote("while scanning a quoted scalar, found unexpected end of stream")),
        ("a: 'b", "1:4", quote("while scanning a quoted scalar, found unexpected end of stream")),
        (
            "when: \"claims.x.matches('\\d+')\"",
            "1:7",
            quote("while parsing a quoted scalar, found unknown escape character"),
        ),
        (
            "{\"a\": \"\\ud83d\\ude00\"}",
            "1:7",
            quote("while parsing a quoted scalar, found invalid Unicode character escape code"),
        ),
        ("a: [b", "2:1", early("while parsing a flow sequence, expected ',' or ']'")),
        ("a: [b}", "1:6", wrong("while parsing a flow sequence, expected ',' or ']'")),
        ("a: b: c", "1:5", wrong("mapping values are not allowed in this context")),
        ("a:\n  b: 1\n c: 2", "3:2", wrong("while parsing a block mapping, did not find expected key")),
        ("a:\n\tb: c", "2:2", wrong("tabs disallowed within this context (block indentation)")),
        ("a: !x!y b", "1:4", wrong("the handle wasn't declared")),
        ("a: \u{feff}b", "1:4", wrong("a byte order mark must not appear inside a document")),
    ];
    for (text, place, message) in table {
        assert_eq!(refusal(text), format!("{place}: {message}"), "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let utf8 = "is not UTF-8; save the file as UTF-8";
    let table: [(&[u8], &str, &str); 6] = [
        (b"a: b\r\nc: \xff", "2:4", utf8),
        (b"\xff\xfea\0", "1:1", utf8),
        (b"a: b\nc: d\0", "2:5", "holds the control character U+0000; remove it, or write `\\u0000` in double quotes"),
        (
            b"a: \"\x1b[1m\"",
            "1:5",
            "holds the control character U+001B; remove it, or write `\\u001b` in double quotes",
        ),
        (
            "ä: ö\n\r\n\r\u{fc}: \0".as_bytes(),
            "4:4",
            "holds the control character U+0000; remove it, or write `\\u0000` in double quotes",
        ),
        (b"# \x08", "1:3", "holds the control character U+0008; remove it, or write `\\u0008` in double quotes"),
    ];
    for (bytes, place, message) in table {
        assert_eq!(refusal(bytes), format!("{place}: {message}"));
    }
    assert_eq!(bodies("\"\\u0000\""), [json!("\0")]);
}

#[test]
fn a_stream_has_bounds() {
    let nest = |levels: usize| format!("a: {}1{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let flat = |values: usize| "- a\n".repeat(values - 1);
    assert_eq!(documents(&nest(MOST_DEPTH)).len(), 1);
    assert_eq!(
        refusal(nest(MOST_DEPTH + 1)),
        "1:67: lists and mappings nest more than 64 levels deep here; flatten them"
    );
    let block: String = (0..=MOST_DEPTH).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert_eq!(refusal(block), "65:65: lists and mappings nest more than 64 levels deep here; flatten them");
    let refused = refusal(nest(1000));
    assert!(refused.starts_with("1:259: a bracket is out of place here, or more than 64 levels deep: "), "{refused}");

    assert_eq!(documents(&flat(MOST_NODES)).len(), 1);
    assert_eq!(
        refusal(flat(MOST_NODES + 1)),
        "100000:3: the file has more than 100000 values; split it into several files"
    );
    assert_eq!(
        refusal("---\n".repeat(MOST_NODES + 1)),
        "100002:1: the file has more than 100000 values; split it into several files"
    );
    let commas = refusal(format!("[{}", ",".repeat(MOST_BYTES - 1)));
    assert_eq!(
        commas,
        "1:500001: the file has more than 500000 commas, colons and brackets; split it into several files"
    );

    let long = |bytes: usize| format!("# {}", "x".repeat(bytes - 2));
    assert_eq!(documents(&long(MOST_BYTES)).len(), 0);
    assert_eq!(
        refusal(long(MOST_BYTES + 1)),
        "1:1: the file is longer than 4194304 bytes (4 MiB); split it into several files"
    );
}

#[test]
fn what_a_file_holds_is_shown_short_and_tokens_not_at_all() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl";
    let long = "0".repeat(70);
    for text in [
        format!("{token}: 1\n{token}: 2"),
        format!("a: !!int {token}"),
        format!("? !!int {token}\n: a"),
        format!("a: !{token} b"),
    ] {
        let refused = refusal(&text);
        assert!(
            refused.contains("(a token, not shown)") && !refused.contains("Y2FuYXJ5") && !refused.contains("eyJ"),
            "{refused}"
        );
    }
    assert_eq!(
        refusal(format!("{long}: a")),
        format!("1:1: the key `{}…` is a number, and must be a string; put it in quotes", "0".repeat(63))
    );
    assert_eq!(
        refusal("\"a\\nb\": 1\n\"a\\nb\": 1"),
        "2:1: the key `a\\u{a}b` stands in line 1 already; remove one of the two"
    );
    for text in [
        format!("a: [{token}"),
        format!("a: '{token}"),
        format!("a: b: {token}"),
        format!("a: *{token}"),
        format!("%{token}"),
    ] {
        assert!(!refusal(&text).contains("eyJ"), "{text}");
    }
}

/// Scalars, and what they are in JSON.
const SCALARS: &[(&str, &str)] = &[
    ("null", r#"null"#),
    ("Null", r#"null"#),
    ("NULL", r#"null"#),
    ("~", r#"null"#),
    ("nULL", r#""nULL""#),
    ("true", r#"true"#),
    ("True", r#"true"#),
    ("TRUE", r#"true"#),
    ("false", r#"false"#),
    ("tRUE", r#""tRUE""#),
    ("yes", r#""yes""#),
    ("no", r#""no""#),
    ("on", r#""on""#),
    ("off", r#""off""#),
    ("y", r#""y""#),
    ("0", r#"0"#),
    ("-1", r#"-1"#),
    ("+12", r#"12"#),
    ("007", r#"7"#),
    ("0o17", r#"15"#),
    ("0x1F", r#"31"#),
    ("18446744073709551615", r#"18446744073709551615"#),
    ("-9223372036854775808", r#"-9223372036854775808"#),
    ("1_000", r#""1_000""#),
    ("0b1", r#""0b1""#),
    ("-0x1", r#""-0x1""#),
    ("0o8", r#""0o8""#),
    ("0x", r#""0x""#),
    ("+-1", r#""+-1""#),
    ("0x+1", r#""0x+1""#),
    ("12:30", r#""12:30""#),
    ("+", r#""+""#),
    ("1.5", r#"1.5"#),
    ("1.", r#"1.0"#),
    (".5", r#"0.5"#),
    ("-.5e-1", r#"-0.05"#),
    ("1e3", r#"1000.0"#),
    ("1E+3", r#"1000.0"#),
    ("1e", r#""1e""#),
    ("e1", r#""e1""#),
    (".", r#"".""#),
    (".e1", r#"".e1""#),
    ("1.5.2", r#""1.5.2""#),
    ("inf", r#""inf""#),
    ("nan", r#""nan""#),
    ("infinity", r#""infinity""#),
    ("-nan", r#""-nan""#),
    ("1e-999", r#"0.0"#),
    ("2026-11-24", r#""2026-11-24""#),
    ("2026-11-24T03:00:00Z", r#""2026-11-24T03:00:00Z""#),
    ("/orders/{id}", r#""/orders/{id}""#),
    ("api://orders", r#""api://orders""#),
    ("=", r#""=""#),
    ("!!str 12", r#""12""#),
    ("!!str", r#""""#),
    ("!!int '12'", r#"12"#),
    ("!!float 1", r#"1.0"#),
    ("!!bool 'true'", r#"true"#),
    ("!!null ''", r#"null"#),
    ("!!seq [1]", r#"[1]"#),
    ("!!map {a: 1}", r#"{"a": 1}"#),
    ("!<tag:yaml.org,2002:str> 1", r#""1""#),
    ("'1'", r#""1""#),
    ("\"null\"", r#""null""#),
    ("|-\n  true", r#""true""#),
    (">-\n  1\n  2", r#""1 2""#),
    ("{\"<<\": 1}", r#"{"<<": 1}"#),
    ("{\"1\": a}", r#"{"1": "a"}"#),
    ("{on: a}", r#"{"on": "a"}"#),
];

#[test]
fn scalars_follow_the_core_schema() {
    for (text, json) in SCALARS {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(bodies(&format!("- {text}\n")), [json!([value])], "{text}");
    }
    assert_eq!(
        bodies("a:\nb: \nc: [~, '', ]\nd: {e, f: }\n"),
        [json!({"a": null, "b": null, "c": [null, ""], "d": {"e": null, "f": null}})]
    );
}

#[test]
fn a_stream_is_many_documents_and_empty_ones_do_not_count() {
    let table = [
        ("", json!([])),
        ("# nothing\n\n", json!([])),
        ("---\n---\n# nothing\n---\n...\n", json!([])),
        ("--- # first\na: 1\n---\n\n---\nb: 2\n...\n---\n- c\n", json!([{"a": 1}, {"b": 2}, ["c"]])),
        ("---\nnull\n---\n''\n--- ~", json!([null, "", null])),
        ("%YAML 1.2\n---\na: 1\n", json!([{"a": 1}])),
        ("\u{feff}a: 1\n", json!([{"a": 1}])),
        ("a: 1\r\nb: |\r\n  x\r\n  y\r\n", json!([{"a": 1, "b": "x\ny\n"}])),
        (
            "{\n\t\"a\":1,\n\t\"b\" : [\n\t\ttrue,\n\t\t\"\\u00e4\\/\\t\"\n\t],\"c\"\n:{}}",
            json!([{"a": 1, "b": [true, "ä/\t"], "c": {}}]),
        ),
    ];
    for (text, values) in table {
        assert_eq!(Value::from(bodies(text)), values, "{text}");
    }
}

const BLOCK: &str = "\
# head
---
kind: AccessPolicy
spec:
  hosts:
  - a
  -
    b
  routes:
    - name: x
      allow:
      - roles: [R, S]
        \"when\": |
          true
      -
        callers: Any
    - - deep
      - {ä: 1, path: /}
";

const FLOW: &str = "\
---
{\"kind\": \"x\", spec: {hosts: [a,
  b], routes: [{name: x, allow: [{roles: [R, S]}]}, [k: v]]}}
";

/// Fields of a text, and where they stand.
fn stand(text: &str, fields: &[(&str, &str)]) {
    let document = documents(text).pop().unwrap();
    for (at, place) in fields {
        let (line, column) = document.lines.line(&path(at)).unwrap();
        assert_eq!(format!("{line}:{column}"), *place, "{at} in {text}");
    }
}

#[test]
fn every_field_has_a_place() {
    stand(
        BLOCK,
        &[
            ("", "3:1"),
            ("kind", "3:1"),
            ("spec", "4:1"),
            ("spec.hosts", "5:3"),
            ("spec.hosts[0]", "6:5"),
            ("spec.hosts[1]", "8:5"),
            ("spec.routes[0]", "10:7"),
            ("spec.routes[0].name", "10:7"),
            ("spec.routes[0].allow", "11:7"),
            ("spec.routes[0].allow[0]", "12:9"),
            ("spec.routes[0].allow[0].roles", "12:9"),
            ("spec.routes[0].allow[0].roles[1]", "12:20"),
            ("spec.routes[0].allow[0].when", "13:9"),
            ("spec.routes[0].allow[1].callers", "16:9"),
            ("spec.routes[1]", "17:7"),
            ("spec.routes[1][0]", "17:9"),
            ("spec.routes[1][1]", "18:9"),
            ("spec.routes[1][1].ä", "18:10"),
            ("spec.routes[1][1].path", "18:16"),
        ],
    );
    stand(
        FLOW,
        &[
            ("", "2:1"),
            ("kind", "2:2"),
            ("spec", "2:15"),
            ("spec.hosts", "2:22"),
            ("spec.hosts[0]", "2:30"),
            ("spec.hosts[1]", "3:3"),
            ("spec.routes[0]", "3:16"),
            ("spec.routes[0].name", "3:17"),
            ("spec.routes[0].allow[0].roles[1]", "3:46"),
            ("spec.routes[1][0].k", "3:54"),
        ],
    );
    stand("a: 1\n---\n# c\nb:\n- c: 1\n  d: 2\n", &[("", "4:1"), ("b", "4:1"), ("b[0]", "5:3"), ("b[0].d", "6:3")]);
    stand("--- text\n", &[("", "1:5")]);
    stand("\u{feff}a:\r\n  b: 1\r\n", &[("a", "1:1"), ("a.b", "2:3")]);
}

#[test]
fn an_absent_field_has_the_place_of_what_should_hold_it() {
    stand(
        BLOCK,
        &[
            ("metadata.name", "3:1"),
            ("spec.mode", "4:1"),
            ("spec.hosts[2]", "5:3"),
            ("spec.hosts.x", "5:3"),
            ("spec[0]", "4:1"),
            ("spec.routes[0].path", "10:7"),
            ("spec.routes[0].allow[0].groups[3].x", "12:9"),
            ("spec.routes[0].name.x", "10:7"),
            ("spec.routes[9].path", "9:3"),
        ],
    );
    stand("a: 1\n---\n# c\nb: 1", &[("a", "4:1")]);
    stand("a: 1\nx: 2\nb: [3]\ny: 4", &[("a.x", "1:1"), ("b[0].y", "3:5"), ("b[1]", "3:1")]);
    stand("--- text\n", &[("a.b", "1:5")]);
    assert_eq!(yaml::Lines::default().line(&path("a")), None);
}

#[test]
fn a_part_of_a_document_has_places_of_its_own() {
    let lines = &documents("items:\n- a: 1\n- b:\n  - c: 1\n  d: 2\n")[0].lines;
    let second = lines.below(&path("items[1]"));
    for (at, place) in [("", (3, 3)), ("b", (3, 3)), ("b[0].c", (4, 5)), ("d", (5, 3)), ("a", (3, 3))] {
        assert_eq!(second.line(&path(at)), Some(place), "{at}");
    }
    assert_eq!(second.below(&path("d")).line(&path("")), Some((5, 3)));
    assert_eq!(lines.below(&path("items[2]")).line(&path("")), None);
}
