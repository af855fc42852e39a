//! Resources from a directory of YAML files, with exact places for faults, and hot reload.
//!
//! A *file* is read into *documents* (`yaml`: values, and the line of every field), documents into *resources* with an
//! identity (`contents`), the files of a directory (`directory`) into a *library* (`library`). The *shelf* (`shelf`)
//! keeps the last good contents of each file and says what a new reading makes of them; the *watch* (`watch`) says when
//! to read again. What the resources mean is not known here: that is the compiler's, and its faults find their way back
//! to file, line and column through the library.
//!
//! # What is promised
//! - **A file means one thing.** What YAML readers disagree about, or what hides a rule from its reader, is refused and
//!   not interpreted: aliases and merge keys, duplicate keys, keys that are no strings, tags of one's own. Of a file that
//!   is half understood nothing counts, since the other half may be a deny entry.
//! - **Nothing that worked is lost.** A file that cannot be read leaves standing what it held when it last could; so does
//!   a directory that cannot be listed. A file that is deleted takes its resources with it: that is what deleting means.
//! - **Nothing is published in part.** While some file was never readable, there is no library at all: the rule in it
//!   may be the one that denies. While two files hold one identity, nobody can say which is meant, and the library stays
//!   the former one, whole. Whoever enforces goes on with what was published last, or is not ready if there was nothing.
//! - **A library is one moment.** The directory is listed before and after it is read, and read again if it changed in
//!   between. An update of a mounted ConfigMap is seen whole or not at all.
//! - **What did not change is the same.** A resource that is equal to its former self keeps its pointer, wherever it
//!   moved, and a directory in which nothing changed keeps its library, so that nothing is compiled twice.
//! - **Problems name a place and a remedy, and keep secrets.** Of what a file holds they repeat at most one key or scalar,
//!   64 characters of it, and nothing that looks like a token.
//! - **Whatever the operating system tells, or does not, is found.** Links may turn, directories be replaced, watches be
//!   lost: what was missed is read ten seconds later.
//!
//! What it does not do: read what begins with a dot, open what is no regular file, or check more of a resource than is
//! needed to tell it from another. A file that is written in place may be seen half written, even empty; whoever cares
//! writes another one and renames it, as editors and Kubernetes do.
//!
//! One departure from JSON: a character beyond U+FFFF that is written as two `\u` escapes is refused, since YAML knows no
//! such pairs; write the character itself.

mod contents;
mod directory;
mod excerpt;
pub mod library;
pub mod shelf;
pub mod watch;
pub mod yaml;
