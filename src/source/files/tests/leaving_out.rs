//! What is left out, and what is kept all the same.

use super::*;

#[test]
fn patterns() {
    let place = place();
    let base = place.path();
    make(
        base,
        &[
            "a/x.o",
            "a/x.c",
            "node_modules/f",
            "b/node_modules/k/g",
            "keep.o",
            "b/h",
        ],
    );
    fs::write(base.join(OsStr::from_bytes(b"\xff.o")), "").unwrap();
    let mut excludes = Excludes {
        patterns: ["*.o", "node_modules", "!keep.o"]
            .map(String::from)
            .to_vec(),
        ..Excludes::default()
    };
    let told = walk(base, &[""], &excludes);
    assert_eq!(
        told.short(),
        ["D ", "D /a", "F /a/x.c", "D /b", "F /b/h", "F /keep.o"]
    );
    // What was given itself too, but never what lies above it.
    let told = walk(
        base,
        &["b/node_modules/k", "node_modules", "a/x.o", "b"],
        &excludes,
    );
    let way = [
        "D ",
        "D /a",
        "D /b",
        "F /b/h",
        "D /b/node_modules",
        "D /b/node_modules/k",
    ];
    assert_eq!(
        told.short(),
        [&way[..], &["F /b/node_modules/k/g"]].concat()
    );
    excludes.patterns = vec![format!("{}/a", base.display())];
    assert!(
        !walk(base, &[""], &excludes)
            .lines
            .contains(&"D /a".to_owned())
    );
    excludes.patterns = vec!["tmp".to_owned(), format!("{}/", base.display())];
    assert_eq!(
        walk(base, &["b/h"], &excludes).short(),
        ["D ", "D /b", "F /b/h"]
    );
}

#[test]
fn patterns_in_the_tree() {
    let place = place();
    let base = place.path();
    make(
        base,
        &[
            "a/keep.o", "a/x.o", "a/sub/t", "a/sub/u", "b/x.o", "b/sub/t", "x.o", "c/no.c",
        ],
    );
    fs::write(base.join(".gitignore"), "*.o\n/c\n[bad\n").unwrap();
    fs::write(base.join("a/.gitignore"), "!keep.o\nsub/t\n").unwrap();
    let excludes = Excludes {
        ignore_files: vec![".gitignore".into()],
        ..Excludes::default()
    };
    let expected = [
        "D ",
        "F /.gitignore",
        "D /a",
        "F /a/.gitignore",
        "F /a/keep.o",
        "D /a/sub",
        "F /a/sub/u",
        "D /b",
        "D /b/sub",
        "F /b/sub/t",
    ];
    assert_eq!(walk(base, &[""], &excludes).short(), expected);
    // Those above a given path are not looked at.
    assert!(
        walk(base, &["c", "x.o"], &excludes)
            .short()
            .contains(&"F /c/no.c")
    );
    // The user's own go first.
    let mut stronger = excludes.clone();
    stronger.patterns = ["!x.o", "keep.o"].map(String::from).to_vec();
    let told = walk(base, &[""], &stronger);
    assert!(told.short().contains(&"F /a/x.o") && !told.short().contains(&"F /a/keep.o"));
    // One that is no regular file is named, and the walk goes on.
    fs::remove_file(base.join("a/.gitignore")).unwrap();
    symlink("/etc/passwd", base.join("a/.gitignore")).unwrap();
    let told = walk(base, &[""], &excludes);
    assert!(told.short().contains(&"L /a/.gitignore"));
    assert_eq!(
        told.lines
            .iter()
            .filter(|line| line.starts_with('!'))
            .count(),
        1
    );
}

#[test]
fn tagged_directories_keep_only_their_tag() {
    let place = place();
    let base = place.path();
    let signature = "Signature: 8a477f597d28d172789f06886806bc55";
    make(
        base,
        &[
            "cache/x",
            "cache/sub/y",
            "fake/x",
            "no/x",
            "no/in/y",
            "part/x",
            "f",
        ],
    );
    fs::write(
        base.join("cache/CACHEDIR.TAG"),
        format!("{signature}\n# more\n"),
    )
    .unwrap();
    fs::write(base.join("fake/CACHEDIR.TAG"), &signature[..20]).unwrap();
    fs::write(base.join("no/.no"), "").unwrap();
    fs::write(base.join("part/.part"), "head: x").unwrap();
    let mut excludes = Excludes {
        caches: true,
        if_present: vec![".no".into(), ".part:head: ".into()],
        ..Excludes::default()
    };
    let expected = [
        "D ",
        "D /cache",
        "F /cache/CACHEDIR.TAG",
        "F /f",
        "D /fake",
        "F /fake/CACHEDIR.TAG",
        "F /fake/x",
        "D /no",
        "F /no/.no",
        "D /part",
        "F /part/.part",
    ];
    assert_eq!(walk(base, &[""], &excludes).short(), expected);
    excludes.if_present = vec![".part:tail".into()];
    let told = walk(base, &["no", "part"], &excludes);
    assert!(told.short().contains(&"F /part/x") && told.short().contains(&"F /no/in/y"));
    // What was given itself is kept.
    let told = walk(base, &["cache", "cache/sub"], &excludes);
    let expected = [
        "D ",
        "D /cache",
        "F /cache/CACHEDIR.TAG",
        "D /cache/sub",
        "F /cache/sub/y",
    ];
    assert_eq!(told.short(), expected);
}

#[test]
fn large_files() {
    let place = place();
    let base = place.path();
    fs::write(base.join("ten"), [0; 10]).unwrap();
    fs::write(base.join("eleven"), [0; 11]).unwrap();
    fs::create_dir(base.join("directory")).unwrap();
    let excludes = Excludes {
        larger_than: Some(10),
        ..Excludes::default()
    };
    assert_eq!(
        walk(base, &[""], &excludes).short(),
        ["D ", "D /directory", "F /ten"]
    );
}

/// `/proc` is another file system wherever tests run.
#[test]
fn one_file_system() {
    let mut excludes = Excludes {
        patterns: ["/*", "!/proc"].map(String::from).to_vec(),
        one_file_system: true,
        ..Excludes::default()
    };
    let base = Path::new("/");
    assert_eq!(
        walk(base, &[""], &excludes).lines,
        ["D ", "D proc", "leave", "leave"]
    );
    let told = walk(base, &["", "proc/sys/kernel/ostype"], &excludes);
    let expected = [
        "D ",
        "D proc",
        "D proc/sys",
        "D proc/sys/kernel",
        "F proc/sys/kernel/ostype",
    ];
    assert_eq!(told.short(), expected);
    // Given itself, its own file system is the one to stay on.
    excludes.patterns = vec![
        "/proc/[0-9]*".into(),
        "/proc/sys/*".into(),
        "/proc/*/**".into(),
    ];
    let told = walk(base, &["proc"], &excludes);
    assert!(told.short().contains(&"F proc/version") && told.short().contains(&"D proc/sys"));
}

#[test]
fn the_repository_is_not_part_of_its_own_snapshot() {
    struct Notes(Mutex<Vec<String>>);
    impl Progress for Notes {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let place = place();
    let base = place.path();
    make(base, &["a/repository/packs/p", "a/x"]);
    symlink("a/repository", base.join("way")).unwrap();
    let left_out = LeftOut::directory(&base.join("way"), "the repository itself").unwrap();
    let given = [base.to_path_buf(), base.join("way/packs/p")];
    let mut source = FilesSource::new(&given, &Excludes::default(), vec![left_out]).unwrap();
    let notes = Notes(Mutex::default());
    let mut events = Vec::new();
    source
        .walk(&notes, &mut |batch| {
            events.extend(batch);
            Ok(())
        })
        .unwrap();
    assert_eq!(told(base, events).short(), ["D ", "D /a", "F /a/x"]);
    let notes = notes.0.into_inner().unwrap();
    let expected = |at: &str| {
        format!(
            "{}{at}: left out, it is the repository itself",
            base.display()
        )
    };
    assert_eq!(notes, [expected("/a/repository"), expected("/way")]);
    assert!(LeftOut::directory(&base.join("none"), "x").is_none());
    assert!(LeftOut::directory(&base.join("a/x"), "x").is_none());
}
