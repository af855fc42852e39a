//! The tree as the rules see it: files, and the words and signs of Rust in them without comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// From the root of the repository, with `/` between its parts.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Read as Rust.
    pub(crate) tokens: Vec<Token>,
}

/// A word, a number, `::`, or one other sign. A literal text is `"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Source {
    /// A file of this content.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), tokens: tokens(text) }
    }

    /// Whether the token at `at` and those after it are these.
    pub(crate) fn reads(&self, at: usize, words: &[&str]) -> bool {
        let read = self.tokens.iter().skip(at).take(words.len()).map(|token| token.text.as_str());
        read.eq(words.iter().copied())
    }

    /// A complaint about the token at `at`.
    pub(crate) fn complaint(&self, at: usize, what: impl Into<String>) -> Complaint {
        let line = self.tokens.get(at).map_or(1, |token| token.line);
        Complaint { path: self.path.clone(), line, what: what.into() }
    }

    /// Where the bracket that opens at `open` closes.
    pub(crate) fn close(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under these folders.
pub(crate) fn rust(folders: &[&str]) -> Vec<Source> {
    files(folders, |path| path.extension().is_some_and(|extension| extension == "rs"))
}

/// Everything that is text and belongs to the repository.
pub(crate) fn texts() -> Vec<Source> {
    files(&["."], |path| path.extension().is_none_or(|extension| extension != "lock"))
}

fn files(folders: &[&str], wanted: impl Fn(&Path) -> bool) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        gather(&root().join(folder), &mut found);
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(root()).unwrap();
        Some(Source::new(path.to_str()?.trim_start_matches("./"), &text))
    };
    found.into_iter().filter(|path| wanted(path)).filter_map(read).collect()
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    const ELSEWHERE: [&str; 7] =
        [".git", ".tools", "target", "artifacts", "corpus", "__pycache__", "proptest-regressions"];
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let name = entry.file_name();
        if name == ".git" {
            continue;
        }
        if kind.is_dir() && !ELSEWHERE.iter().any(|other| name == *other) {
            gather(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// The tokens of a text.
fn tokens(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let mut reader = Reader { letters: &letters, at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(token) = reader.token() {
        found.push(token);
    }
    found
}

struct Reader<'a> {
    letters: &'a [char],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<char> {
        let letter = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(letter == '\n');
        Some(letter)
    }

    fn token(&mut self) -> Option<Token> {
        loop {
            match (self.peek(0)?, self.peek(1)) {
                ('/', Some('/')) => while self.take().is_some_and(|letter| letter != '\n') {},
                ('/', Some('*')) => self.block_comment(),
                (letter, _) if letter.is_whitespace() => drop(self.take()),
                _ => break,
            }
        }
        let line = self.line;
        let literal = self.text_literal();
        let text = if literal { "\"".to_owned() } else { self.word() };
        Some(Token { text, line })
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.take();
                    continue;
                }
            }
            self.take();
            self.take();
            if depth == 0 {
                return;
            }
        }
    }

    /// Takes a text, byte text, raw text or letter, if one begins here.
    fn text_literal(&mut self) -> bool {
        let prefix = (0..2).take_while(|ahead| self.peek(*ahead).is_some_and(|c| matches!(c, 'b' | 'r' | 'c'))).count();
        let raw = (0..prefix).any(|ahead| self.peek(ahead) == Some('r'));
        let hashes = if raw { (prefix..).take_while(|ahead| self.peek(*ahead) == Some('#')).count() } else { 0 };
        match self.peek(prefix + hashes) {
            Some('"') => self.quoted(prefix + hashes, raw.then_some(hashes)),
            Some('\'') if hashes == 0 && self.is_letter(prefix) => {
                self.at += prefix + 1;
                while let Some(letter) = self.take().filter(|letter| *letter != '\'') {
                    if letter == '\\' {
                        self.take();
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// A letter, not a lifetime: `'x'`, `'\n'`.
    fn is_letter(&self, quote: usize) -> bool {
        self.peek(quote + 1) == Some('\\') || self.peek(quote + 2) == Some('\'')
    }

    fn quoted(&mut self, before: usize, raw: Option<usize>) {
        self.at += before + 1;
        while let Some(letter) = self.take() {
            match (letter, raw) {
                ('\\', None) => drop(self.take()),
                ('"', None) => return,
                ('"', Some(hashes)) if (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) => {
                    self.at += hashes;
                    return;
                }
                _ => {}
            }
        }
    }

    fn word(&mut self) -> String {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let mut text = String::new();
        while let Some(letter) = self.peek(0).filter(|letter| is_word(*letter)) {
            text.push(letter);
            self.take();
        }
        if text.is_empty() {
            text.extend(self.take());
            if text == ":" && self.peek(0) == Some(':') {
                text.extend(self.take());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = r####"
            // sleep( todo!
            /* crate::cli /* nested */ */
            let a = "crate::cli"; let b = r#"a " todo!"#; let c = b'"'; let d: &'static str = '\''.x; let e = '"';
            crate::policy
        "####;
        let words: Vec<String> = Source::new("x.rs", text).tokens.into_iter().map(|token| token.text).collect();
        let expected =
            "let a = \" ; let b = \" ; let c = \" ; let d : & ' static str = \" . x ; let e = \" ; crate :: policy";
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn lines_are_counted_and_brackets_found() {
        let source = Source::new("x.rs", "fn a() {\n  b(\"\n\n\");\n}\nfn c() {}");
        let open = source.tokens.iter().position(|token| token.text == "{").unwrap();
        assert_eq!(source.tokens[source.close(open)].line, 5);
    }
}
