//! What a directory of files amounts to, where its faults stand, and what stays when a file breaks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/field_path.rs"]
mod field_path;
#[path = "support/shelf_world.rs"]
mod shelf_world;

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use entrance::api::fault::{About, Fault};
use entrance::api::object::{Kind, ObjectId};
use entrance::files::library::Library;
use entrance::files::shelf::Shelf;
use entrance::files::yaml::MOST_BYTES;

use field_path::path;
use shelf_world::{World, policy, said};

fn id(name: &str) -> ObjectId {
    ObjectId { kind: Kind::AccessPolicy, namespace: "shop".into(), name: name.into() }
}

fn fault(name: &str, at: &str) -> Fault {
    Fault { object: id(name), path: path(at), problem: "must begin with a slash".into(), about: About::Invalid }
}

fn library(world: &World) -> Arc<Library> {
    let reading = Shelf::new(world.top()).reread();
    assert_eq!(reading.problems, []);
    reading.library.unwrap()
}

#[test]
fn a_fault_is_told_with_file_line_and_column() {
    let world = World::new();
    world.write("orders/policy.yaml", format!("# head\n---\n---\n{}", policy("orders", "orders")));
    world.write("list.json", r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "List", "items": [
          {"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "deep", "namespace": "shop"},
           "spec": {"routes": [{"path": "x"}]}}]},
        {"apiVersion": "v1", "kind": "Secret"}]}"#);
    let library = library(&world);
    let told = [
        (
            fault("orders", "spec.routes[0].path"),
            "orders/policy.yaml:11:5: AccessPolicy shop/orders: spec.routes[0].path: must begin with a slash",
        ),
        (
            fault("orders", "spec.routes[0].allow[2]"),
            "orders/policy.yaml:11:5: AccessPolicy shop/orders: spec.routes[0].allow[2]: must begin with a slash",
        ),
        (
            fault("orders", "spec.hosts"),
            "orders/policy.yaml:9:1: AccessPolicy shop/orders: spec.hosts: must begin with a slash",
        ),
        (
            fault("deep", "spec.routes[0].path"),
            "list.json:4:33: AccessPolicy shop/deep: spec.routes[0].path: must begin with a slash",
        ),
        (
            fault("deep", "metadata.labels"),
            "list.json:3:75: AccessPolicy shop/deep: metadata.labels: must begin with a slash",
        ),
        (fault("other", "spec"), "AccessPolicy shop/other: spec: must begin with a slash"),
    ];
    for (fault, expected) in told {
        assert_eq!(library.describe(&fault), expected);
    }
    let location = library.locate(&fault("deep", "spec")).unwrap();
    assert_eq!((&*location.file, location.line, location.column), ("list.json", 4, 12));
    assert_eq!(location.to_string(), "list.json:4:12");
    assert_eq!(library.locate(&fault("other", "spec")), None);
    assert_eq!((library.files, library.foreign, library.resources.len()), (2, 1, 2));
}

#[test]
fn yaml_and_json_files_count_wherever_links_lead_and_hidden_ones_do_not() {
    let world = World::new();
    for name in
        ["a.yaml", "b.yml", "c.json", "D.YAML", "sub/e.yaml", "sub/deep/f.yaml", "../else/g.yaml", "../other/h.txt"]
    {
        let stem = name.rsplit('/').next().unwrap().split('.').next().unwrap().to_lowercase();
        world.write(name, policy(&stem, "/"));
    }
    for name in [".hidden.yaml", ".git/x.yaml", "..data.yaml", "readme.md", "yaml", "x.yaml.bak", "x.yaml~"] {
        world.write(name, "not: [yaml");
    }
    world.write("empty.yaml", "");
    world.write("foreign.yaml", "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: Secret\n");
    world.link("../../else", "sub/linked");
    world.link("../other/h.txt", "h.yaml");
    world.link("..", "sub/back");
    world.link(".", "here");
    let library = library(&world);
    let names: Vec<_> = library.resources.of(Kind::AccessPolicy).map(|policy| policy.id.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!((library.files, library.foreign), (10, 2));
    assert_eq!(library.locate(&fault("g", "")).unwrap().file.as_ref(), "sub/linked/g.yaml");
    assert_eq!(said(&Shelf::new(World::new().top().join("none")).reread()).len(), 2);
}

#[test]
fn what_is_wrong_with_a_file_is_told_where_it_stands() {
    let token = "eyJhbGciOiJub25lIn0.e30.c2ln";
    let name_rule =
        "must be 1 to 253 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit";
    let mut bad = policy("a", "/").replace("name: a", "name: A");
    bad.push_str("---\n- 1\n---\nkind: [x]\napiVersion: v1\n");
    let cut = format!("`{}…`", "x".repeat(63));
    let table: [(String, &[&str]); 11] = [
        (
            "a: [".into(),
            &[
                "x.yaml:2:1: the file ends too early: while parsing a node, did not find expected node content; check colons, quotes and brackets above",
            ],
        ),
        ("a: 1".into(), &["x.yaml:1:1: apiVersion: is missing"]),
        ("text".into(), &["x.yaml:1:1: must be a resource, with apiVersion, kind and metadata"]),
        (
            bad,
            &[
                &format!("x.yaml:5:3: metadata.name: {name_rule}"),
                "x.yaml:10:1: must be a resource, with apiVersion, kind and metadata",
                "x.yaml:12:1: kind: must be a string",
            ],
        ),
        ("apiVersion: v1\nkind: List".into(), &["x.yaml:1:1: items: must be a list of resources"]),
        ("apiVersion: v1\nkind: List\nitems: {a: b}".into(), &["x.yaml:3:1: items: must be a list of resources"]),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Ingress}, {kind: 7}]".into(),
            &["x.yaml:3:42: apiVersion: is missing"],
        ),
        (
            "kind: AccessPolicy\napiVersion: entrance.dev/v1".into(),
            &["x.yaml:1:1: kind: `entrance.dev/v1` is unknown; write `entrance.dev/v1alpha1`"],
        ),
        (
            format!("apiVersion: entrance.dev/v1alpha1\nkind: {token}"),
            &[
                "x.yaml:2:1: kind: (a token, not shown) is unknown; there are EntraApplication, AccessPolicy, AccessGrant and TokenRevocation",
            ],
        ),
        (
            format!("apiVersion: entrance.dev/v1alpha1\nkind: {}", "x".repeat(99)),
            &[&format!(
                "x.yaml:2:1: kind: {cut} is unknown; there are EntraApplication, AccessPolicy, AccessGrant and TokenRevocation"
            )],
        ),
        (
            format!("{0}---\n{0}", policy("a", "/")),
            &["x.yaml:14:3: AccessPolicy shop/a stands in line 5 already; remove one of the two"],
        ),
    ];
    for (text, problems) in table {
        let world = World::new();
        world.write("x.yaml", &text);
        world.write("good.yaml", policy("good", "/"));
        let expected: Vec<_> = ["none"].iter().chain(problems).map(ToString::to_string).collect();
        assert_eq!(said(&Shelf::new(world.top()).reread()), expected, "{text}");
    }
}

/// What happens to a directory, and what reading it says then.
type Step<'s> = (&'s dyn Fn(&World), &'s [&'s str]);

fn play(steps: &[Step<'_>]) {
    let world = World::new();
    let mut shelf = Shelf::new(world.top());
    for (at, (happens, expected)) in steps.iter().enumerate() {
        happens(&world);
        let told: Vec<_> =
            said(&shelf.reread()).iter().map(|line| line.replace(world.top().to_str().unwrap(), "TOP")).collect();
        assert_eq!(told, *expected, "step {at}");
        // Nothing happened in between.
        let again: Vec<_> =
            said(&shelf.reread()).iter().map(|line| line.replace(world.top().to_str().unwrap(), "TOP")).collect();
        assert_eq!(again, *expected, "step {at}, read again");
    }
}

const BROKEN: &str = "1:4: no plain value begins with this character; put the value in quotes";

#[test]
fn a_file_that_breaks_leaves_standing_what_it_held() {
    play(&[
        (
            &|world| ["a", "b"].iter().for_each(|name| world.write(&format!("{name}.yaml"), policy(name, "/1"))),
            &["a /1", "b /1"],
        ),
        (&|world| world.write("a.yaml", "a: @"), &["a /1", "b /1", &format!("a.yaml:{BROKEN}")]),
        (&|world| world.write("b.yaml", policy("b", "/2")), &["a /1", "b /2", &format!("a.yaml:{BROKEN}")]),
        (
            &|world| world.write("a.yaml", format!("{}---\n- 1\n", policy("a", "/2"))),
            &["a /1", "b /2", "a.yaml:10:1: must be a resource, with apiVersion, kind and metadata"],
        ),
        (
            &|world| world.write("a.yaml", vec![b' '; MOST_BYTES + 1]),
            &["a /1", "b /2", "a.yaml:1:1: the file is longer than 4194304 bytes (4 MiB); split it into several files"],
        ),
        (
            &|world| world.link("nowhere", "a.yaml"),
            &["a /1", "b /2", "a.yaml:1:1: the file cannot be read: entity not found; mend or remove it"],
        ),
        (
            &|world| {
                world.remove("a.yaml");
                drop(UnixListener::bind(world.at("a.yaml")).unwrap())
            },
            &["a /1", "b /2", "a.yaml:1:1: is not a regular file; remove it"],
        ),
        (
            &|world| {
                world.remove("a.yaml");
                world.write("a.yaml", policy("a", "/3"))
            },
            &["a /3", "b /2"],
        ),
        (&|world| world.write("a.yaml", "a: @"), &["a /3", "b /2", &format!("a.yaml:{BROKEN}")]),
        (&|world| world.remove("a.yaml"), &["b /2"]),
        (&|world| world.write("b.yaml", "# nothing"), &[]),
    ]);
}

#[test]
fn a_file_that_was_never_good_withholds_everything() {
    play(&[
        (
            &|world| {
                world.write("a.yaml", policy("a", "/1"));
                world.write("b.yaml", "a: @")
            },
            &["none", &format!("b.yaml:{BROKEN}")],
        ),
        (&|world| world.write("a.yaml", policy("a", "/2")), &["none", &format!("b.yaml:{BROKEN}")]),
        (&|world| world.write("b.yaml", policy("b", "/1")), &["a /2", "b /1"]),
        (
            &|world| world.link("nowhere", "c.yaml"),
            &["none", "c.yaml:1:1: the file cannot be read: entity not found; mend or remove it"],
        ),
        (
            &|world| world.write("a.yaml", policy("a", "/3")),
            &["none", "c.yaml:1:1: the file cannot be read: entity not found; mend or remove it"],
        ),
        (&|world| world.remove("c.yaml"), &["a /3", "b /1"]),
    ]);
}

#[test]
fn two_files_of_one_identity_keep_the_whole_former_library() {
    let twice = "b.yaml:5:3: AccessPolicy shop/a stands at a.yaml:5:3 already; remove one of the two";
    play(&[
        (
            &|world| ["a", "b"].iter().for_each(|name| world.write(&format!("{name}.yaml"), policy("a", "/1"))),
            &["none", twice],
        ),
        (&|world| world.write("b.yaml", policy("b", "/1")), &["a /1", "b /1"]),
        (&|world| world.write("b.yaml", policy("a", "/2")), &["a /1", "b /1", twice]),
        (&|world| world.write("c.yaml", policy("c", "/2")), &["a /1", "b /1", twice]),
        (&|world| world.remove("a.yaml"), &["a /2", "c /2"]),
        (
            &|world| world.write("a.yaml", policy("c", "/3")),
            &["a /2", "c /2", "c.yaml:5:3: AccessPolicy shop/c stands at a.yaml:5:3 already; remove one of the two"],
        ),
        (
            &|world| {
                world.remove("c.yaml");
                world.rename("a.yaml", "c.yaml")
            },
            &["a /2", "c /3"],
        ),
    ]);
}

#[test]
fn a_directory_that_cannot_be_listed_keeps_its_files() {
    let gone = "TOP:1:1: the directory cannot be listed: entity not found";
    play(&[
        (&|world| world.remove(""), &["none", gone]),
        (&|world| world.write("sub/a.yaml", policy("a", "/1")), &["a /1"]),
        (&|world| world.write("b.yaml", policy("b", "/1")), &["a /1", "b /1"]),
        (&|world| world.rename("", "../away"), &["a /1", "b /1", gone]),
        (
            &|world| world.write("../policies", "a file"),
            &["a /1", "b /1", "TOP:1:1: the directory cannot be listed: not a directory"],
        ),
        (
            &|world| {
                world.remove("../policies");
                world.rename("../away", "")
            },
            &["a /1", "b /1"],
        ),
        (
            &|world| {
                world.link("nowhere", "sub/..data");
                world.write("b.yaml", policy("b", "/2"))
            },
            &["a /1", "b /2", "sub:1:1: the directory cannot be listed: entity not found"],
        ),
        (
            &|world| world.link("nowhere", "new/..data"),
            &[
                "none",
                "new:1:1: the directory cannot be listed: entity not found",
                "sub:1:1: the directory cannot be listed: entity not found",
            ],
        ),
        (
            &|world| {
                world.remove("new");
                world.remove("sub")
            },
            &["b /2"],
        ),
    ]);
}

#[test]
fn more_files_than_anybody_reads_are_not_read() {
    let world = World::new();
    world.write("a.yaml", policy("a", "/1"));
    let mut shelf = Shelf::new(world.top());
    assert_eq!(said(&shelf.reread()), ["a /1"]);
    for at in 0..10_000 {
        world.write(&format!("{at}.yaml"), "");
    }
    assert_eq!(
        said(&shelf.reread()),
        ["a /1".to_owned(), format!("{}:1:1: holds more than 10000 files; merge some of them", world.top().display())]
    );
    world.remove("7.yaml");
    let reading = shelf.reread();
    assert_eq!((said(&reading), reading.library.unwrap().files), (vec!["a /1".to_owned()], 10_000));
}

#[test]
fn what_did_not_change_keeps_its_pointer() {
    let world = World::new();
    world.write("a.yaml", policy("a", "/1"));
    world.write("two.yaml", format!("{}---\n{}", policy("b", "/1"), policy("c", "/1")));
    let mut shelf = Shelf::new(world.top());
    let mut next = || {
        let reading = shelf.reread();
        assert_eq!(reading.problems, []);
        reading.library.unwrap()
    };
    let same = |former: &Library, latter: &Library| {
        ["a", "b", "c"]
            .map(|name| Arc::ptr_eq(former.resources.get(&id(name)).unwrap(), latter.resources.get(&id(name)).unwrap()))
    };
    let first = next();
    world.write("a.yaml", policy("a", "/1"));
    assert!(Arc::ptr_eq(&first, &next()), "the same bytes, written again");

    world.write("two.yaml", format!("# moved\n{}---\n{}", policy("b", "/1"), policy("c", "/2")));
    let second = next();
    assert_eq!(same(&first, &second), [true, true, false]);
    assert_eq!(second.locate(&fault("b", "spec")).unwrap().line, 7);

    world.rename("a.yaml", "z.yaml");
    let third = next();
    assert_eq!(same(&second, &third), [true, true, true]);
    assert_eq!(&*third.locate(&fault("a", "")).unwrap().file, "z.yaml");
}

#[test]
fn a_generation_of_a_config_map_is_read_whole_whatever_the_links_beside_it_say() {
    let world = World::new();
    let files = |path: &str| [("a.yaml", policy("a", path)), ("sub/b.yaml", policy("b", path))];
    world.mount("", 1, &files("/1"));
    let mut shelf = Shelf::new(world.top());
    assert_eq!(said(&shelf.reread()), ["a /1", "b /1"]);
    world.mount("", 2, &files("/2"));
    assert_eq!(said(&shelf.reread()), ["a /2", "b /2"]);
    // The kubelet adds links after it turned `..data`, and removes those that lead nowhere after that.
    world.write("..3/c.yaml", policy("c", "/3"));
    world.link("..3", "..data");
    assert_eq!(said(&shelf.reread()), ["c /3"]);
    // What is no link into the generation counts beside it; two mounts side by side are two generations.
    world.write("own.yaml", policy("own", "/"));
    world.mount("more", 1, &[("d.yaml", policy("d", "/1"))]);
    let reading = shelf.reread();
    assert_eq!(said(&reading), ["c /3", "d /1", "own /"]);
    let library = reading.library.unwrap();
    assert_eq!(&*library.locate(&fault("d", "")).unwrap().file, "more/d.yaml");
    assert_eq!(&*library.locate(&fault("c", "")).unwrap().file, "c.yaml");
}

#[test]
fn no_reading_mixes_two_generations() {
    let world = World::new();
    let names: Vec<_> = (0..12).map(|at| format!("p{at}")).collect();
    let mount = |generation: usize| {
        let files: Vec<_> =
            names.iter().map(|name| (format!("{name}.yaml"), policy(name, &format!("/{generation}")))).collect();
        let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), text.clone())).collect();
        world.mount("", generation, &files);
    };
    mount(0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for generation in 1..400 {
                mount(generation);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut shelf = Shelf::new(world.top());
        let mut seen = std::collections::BTreeSet::new();
        while !is_over.load(Ordering::Relaxed) {
            let Some(library) = shelf.reread().library else { continue };
            let paths: std::collections::BTreeSet<_> = library
                .resources
                .of(Kind::AccessPolicy)
                .map(|policy| policy.body()["spec"]["routes"][0]["path"].clone().to_string())
                .collect();
            assert_eq!((paths.len(), library.resources.len()), (1, names.len()), "{paths:?}");
            seen.extend(paths);
        }
        assert!(seen.len() > 1, "read one generation only");
    });
}
