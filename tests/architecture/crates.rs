//! The dependency tree as cargo resolves it for this machine, with the features that are on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::source::{Source, root};

/// Crates that are a crypto or TLS stack of their own, or a list of certificate authorities that ages.
const BANNED: [&str; 12] = [
    "boring-sys",
    "ed25519-dalek",
    "hmac",
    "native-tls",
    "openssl",
    "openssl-sys",
    "p256",
    "p384",
    "ring",
    "rsa",
    "sha2",
    "webpki-roots",
];

/// The packages that are compiled, and the features that each of them has on.
pub(crate) type Tree = BTreeMap<String, BTreeSet<String>>;

/// What cargo resolves, from the lock file alone. `cargo metadata` would list crates that a weak feature only mentions.
pub(crate) fn tree() -> Tree {
    let arguments = ["tree", "--offline", "--locked", "--all-features", "--prefix=none", "--format={p}|{f}"];
    let listed = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    read(&String::from_utf8(listed.stdout).unwrap())
}

/// Lines as in `rustls v0.23.46|aws_lc_rs,std (*)`.
fn read(listing: &str) -> Tree {
    let mut tree = Tree::new();
    for line in listing.lines().filter(|line| !line.is_empty()) {
        let (package, features) = line.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        let features = features.trim_end_matches("(*)").split(',').map(|feature| feature.trim().to_owned());
        tree.entry(name.to_owned()).or_default().extend(features.filter(|feature| !feature.is_empty()));
    }
    tree
}

/// Everything that is wrong with a tree: there must be one crypto stack, and it must be aws-lc.
pub(crate) fn complaints(tree: &Tree) -> Vec<String> {
    let banned = BANNED.iter().filter(|name| tree.contains_key(**name)).map(|name| format!("`{name}` is in the tree"));
    let has = |name: &str, feature: &str| tree.get(name).is_some_and(|features| features.contains(feature));
    let wanted = [("jsonwebtoken", "aws_lc_rs"), ("rustls", "aws_lc_rs"), ("rcgen", "aws_lc_rs")];
    let unwanted = [("jsonwebtoken", "rust_crypto"), ("rustls", "ring"), ("rcgen", "ring"), ("reqwest", "native-tls")];
    let missing = wanted.iter().filter(|(name, feature)| !has(name, feature));
    let missing = missing.map(|(name, feature)| format!("`{name}` is there without `{feature}`"));
    let second = unwanted.iter().filter(|(name, feature)| has(name, feature));
    let second = second.map(|(name, feature)| format!("`{name}` has `{feature}` on"));
    banned.chain(missing).chain(second).collect()
}

/// Dependencies that a manifest lists under `[section]`, and that none of the files names.
pub(crate) fn unused<'m>(manifest: &'m str, section: &str, sources: &[Source]) -> Vec<&'m str> {
    let head = format!("\n[{section}]\n");
    let listed = manifest.split(head.as_str()).nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    let is_named = |name: &&str| {
        let name = name.replace('-', "_");
        let names = |source: &Source| (0..source.tokens.len()).any(|at| source.reads(at, &[&name, "::"]));
        sources.iter().any(names)
    };
    names.filter(|name| !is_named(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Tree, complaints, read, unused};
    use crate::source::Source;

    fn good() -> Tree {
        let feature = || ["aws_lc_rs".to_owned()].into();
        ["jsonwebtoken", "rustls", "rcgen"].map(|name| (name.to_owned(), feature())).into()
    }

    #[test]
    fn a_second_crypto_stack_is_found() {
        assert_eq!(complaints(&good()), Vec::<String>::new());
        let mut tree = good();
        tree.insert("ring".to_owned(), [].into());
        assert_eq!(complaints(&tree), ["`ring` is in the tree"]);
        let mut tree = good();
        tree.entry("jsonwebtoken".to_owned()).or_default().insert("rust_crypto".to_owned());
        assert_eq!(complaints(&tree), ["`jsonwebtoken` has `rust_crypto` on"]);
        let mut tree = good();
        tree.insert("rustls".to_owned(), ["ring".to_owned()].into());
        assert_eq!(complaints(&tree), ["`rustls` is there without `aws_lc_rs`", "`rustls` has `ring` on"]);
    }

    #[test]
    fn listings_are_read_with_all_features_of_a_crate() {
        let tree = read("a v1.0.0 (/x)|\nb v2.0.0|std,ring\n\nb v1.0.0 (proc-macro)|alloc (*)\n");
        assert_eq!(tree.into_keys().collect::<Vec<_>>(), ["a", "b"]);
        let tree = read("b v2.0.0|std,ring\nb v1.0.0|alloc (*)");
        assert_eq!(tree["b"], ["alloc", "ring", "std"].map(str::to_owned).into());
    }

    #[test]
    fn a_dependency_that_nobody_names_is_found() {
        let manifest =
            "[package]\nname = \"x\"\n\n[dependencies]\na-b = \"1\"\nc = { version = \"1\" }\n\n[lints]\nd = 1\n";
        let source = Source::new("src/x.rs", "use a_b::C; // c::d\nlet c = b::c(c);");
        assert_eq!(unused(manifest, "dependencies", &[source]), ["c"]);
    }
}
