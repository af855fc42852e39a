//! The container image is packed from any static binary, always to the same bytes, and is what the OCI specification says;
//! its bill of materials names what is linked, and nothing else.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of no instructions: the header of a 64-bit ELF file without segments.
fn program(directory: &Path, name: &str) -> String {
    let mut bytes = vec![0_u8; 64];
    bytes[..5].copy_from_slice(b"\x7fELF\x02");
    bytes.extend(name.as_bytes());
    let file = directory.join(name);
    fs::write(&file, bytes).unwrap();
    file.to_str().unwrap().to_owned()
}

fn pack(out: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("python3");
    command.arg(root().join("tools/image.py")).arg("--out").arg(out).args(arguments);
    command.env_remove("SOURCE_DATE_EPOCH").output().unwrap()
}

/// Packs, and unpacks the archive.
fn packed(out: &Path, arguments: &[&str]) -> PathBuf {
    let ran = pack(out, arguments);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(said.contains(" MiB, sha256:"), "{said}");
    let layout = out.join("layout");
    fs::create_dir_all(&layout).unwrap();
    untar(&archive(out), &layout);
    layout
}

fn archive(out: &Path) -> PathBuf {
    out.join(format!("entrance-{}.oci.tar", env!("CARGO_PKG_VERSION")))
}

fn untar(archive: &Path, into: &Path) {
    let ran = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).status().unwrap();
    assert!(ran.success());
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A blob; its digest and size must be those of its descriptor.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = fs::read(layout.join("blobs/sha256").join(name)).unwrap();
    assert_eq!(hex(&bytes), name);
    assert_eq!(descriptor["size"].as_u64(), u64::try_from(bytes.len()).ok());
    bytes
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_same_binary_gives_the_same_bytes() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let digests = directories.each_ref().map(|directory| {
        let name = if std::ptr::eq(directory, &directories[2]) { "other" } else { "same" };
        let binary = format!("amd64={}", program(directory.path(), name));
        packed(directory.path(), &["--binary", &binary]);
        hex(&fs::read(archive(directory.path())).unwrap())
    });
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2], "the content counts");
}

#[test]
fn an_image_runs_one_binary_as_nobody_in_particular() {
    let directory = tempfile::tempdir().unwrap();
    let binary = program(directory.path(), "entrance");
    let layout = packed(directory.path(), &["--binary", &format!("amd64={binary}")]);
    assert_eq!(json(&fs::read(layout.join("oci-layout")).unwrap()), json!({"imageLayoutVersion": "1.0.0"}));
    let index = json(&fs::read(layout.join("index.json")).unwrap());
    let top = &index["manifests"][0];
    assert_eq!(top["annotations"]["org.opencontainers.image.ref.name"], env!("CARGO_PKG_VERSION"));
    assert_eq!(top["platform"], json!({"architecture": "amd64", "os": "linux"}));
    let manifest = json(&blob(&layout, top));
    let config = json(&blob(&layout, &manifest["config"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/entrance"]));
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    files(&blob(&layout, &manifest["layers"][0]), (&config, &fs::read(binary).unwrap()));
}

/// The file system of the layer.
fn files(layer: &[u8], (config, binary): (&Value, &[u8])) {
    let directory = tempfile::tempdir().unwrap();
    let zipped = directory.path().join("layer.tar.gz");
    fs::write(&zipped, layer).unwrap();
    assert!(Command::new("gunzip").arg(&zipped).status().unwrap().success());
    let tar = directory.path().join("layer.tar");
    assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", hex(&fs::read(&tar).unwrap()))]));
    let listed = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&tar).env("TZ", "UTC").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let wanted = ["entrance", "etc/", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca-certificates.crt", "tmp/"];
    let names: Vec<_> = listed.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
    assert_eq!(names, wanted);
    assert!(listed.lines().all(|line| line.contains(" 0/0 ") && line.contains(" 1970-01-01 ")), "{listed}");
    untar(&tar, directory.path());
    assert_eq!(fs::read(directory.path().join("entrance")).unwrap(), binary);
    let authorities = fs::read_to_string(directory.path().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 50);
}

#[test]
fn a_container_engine_makes_the_like() {
    let recipe = fs::read_to_string(root().join("Containerfile")).unwrap();
    let (build, image) = recipe.split_once("\nFROM scratch\n").unwrap();
    assert!(build.contains("cargo build --release --locked --no-default-features --bin entrance"), "{build}");
    for line in ["USER 65532:65532", "ENTRYPOINT [\"/entrance\"]", "CMD [\"--help\"]"] {
        assert!(image.lines().any(|known| known == line), "{line}");
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let wanted = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(build.contains(&format!("rust:{wanted}-alpine")), "rust {wanted}");
}

#[test]
fn several_architectures_make_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = ["amd64", "arm64"].map(|name| format!("{name}={}", program(directory.path(), name)));
    let layout = packed(directory.path(), &["--binary", &pairs[0], "--binary", &pairs[1]]);
    let index = json(&fs::read(layout.join("index.json")).unwrap());
    let inner = json(&blob(&layout, &index["manifests"][0]));
    assert_eq!(inner["mediaType"], "application/vnd.oci.image.index.v1+json");
    let images = inner["manifests"].as_array().unwrap();
    let platforms: Vec<_> = images.iter().map(|image| image["platform"]["architecture"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for image in images {
        let manifest = json(&blob(&layout, image));
        assert_eq!(json(&blob(&layout, &manifest["config"]))["architecture"], image["platform"]["architecture"]);
    }
}

#[test]
fn a_binary_that_needs_a_loader_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("script");
    fs::write(&text, "#!/bin/sh\n").unwrap();
    for (file, complaint) in [
        (env!("CARGO_BIN_EXE_entrance"), "wants a dynamic loader: link it statically"),
        (text.to_str().unwrap(), "is not a 64-bit ELF program"),
    ] {
        let ran = pack(directory.path(), &["--binary", &format!("amd64={file}")]);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && said.contains(complaint), "{said}");
        assert!(!archive(directory.path()).exists());
    }
}

/// The packages of the lock file with their hashes.
fn locked() -> BTreeMap<String, String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.map(|text| text.trim_end_matches('"').to_owned()).unwrap_or_default()
    };
    let package = |block: &str| {
        (format!("pkg:cargo/{}@{}", value(block, "name"), value(block, "version")), value(block, "checksum"))
    };
    lock.split("[[package]]").skip(1).map(package).collect()
}

#[test]
fn the_bill_of_materials_names_what_is_linked() {
    let directory: TempDir = tempfile::tempdir().unwrap();
    packed(directory.path(), &["--binary", &format!("amd64={}", program(directory.path(), "entrance"))]);
    let bill = directory.path().join(format!("entrance-{}.cdx.json", env!("CARGO_PKG_VERSION")));
    let bill = json(&fs::read(bill).unwrap());
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    let locked = locked();
    let mut names = Vec::new();
    for component in bill["components"].as_array().unwrap() {
        let purl = component["purl"].as_str().unwrap();
        assert_eq!(component["hashes"][0]["content"], locked[purl], "{purl}");
        let licence = component["licenses"][0]["expression"].as_str().unwrap_or_else(|| panic!("{component}"));
        assert!(!licence.contains('/'), "{component}");
        names.push(component["name"].as_str().unwrap());
    }
    for linked in ["rustls", "aws-lc-rs", "kube-client", "tonic", "serde_derive"] {
        assert!(names.contains(&linked), "{linked}");
    }
    // A test's, one that runs while compiling, and one of another system.
    for absent in ["tempfile", "tonic-prost-build", "windows-sys"] {
        assert!(!names.contains(&absent), "{absent}");
    }
    let known: Vec<_> =
        bill["dependencies"].as_array().unwrap().iter().map(|each| each["ref"].as_str().unwrap()).collect();
    assert_eq!(known.len(), names.len() + 1);
}
