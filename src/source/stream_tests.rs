#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::progress::Silent;

fn events(source: &mut StreamSource) -> Result<Vec<Event>> {
    let mut all = Vec::new();
    source.walk(&Silent, &mut |batch| {
        assert!(!batch.is_empty());
        all.extend(batch);
        Ok(())
    })?;
    Ok(all)
}

/// Paths in order with their modes, and the member's origin and name.
type Told = (Vec<(String, u32)>, Arc<dyn Origin>, Vec<u8>);

fn told(events: Vec<Event>) -> Told {
    let mut told = Vec::new();
    let mut depth = 0;
    let mut member = None;
    for event in events {
        match event {
            Event::Enter { name, stat, origin } => {
                depth += 1;
                assert!(origin.path(b"").ends_with(&name));
                assert!(stat.is_directory());
                told.push((String::from_utf8(origin.path(b"")).unwrap(), stat.mode));
            }
            Event::Member { name, stat, origin } => {
                assert_eq!(stat.kind, StatKind::File);
                assert_eq!(stat.mtime, 77);
                told.push((String::from_utf8(origin.path(&name)).unwrap(), stat.mode));
                member = Some((origin, name));
            }
            Event::Leave => depth -= 1,
            Event::Problem { error, .. } => panic!("{error}"),
        }
    }
    assert_eq!(depth, 0);
    let (origin, name) = member.unwrap();
    (told, origin, name)
}

fn read_all(content: &mut dyn Content) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match content.next(&mut buffer)? {
            Run::Data(bytes) => all.extend_from_slice(&buffer[..bytes]),
            Run::Hole(_) => panic!("a pipe has no holes"),
            Run::End => return Ok(all),
        }
    }
}

fn shell(script: &str) -> StreamSource {
    let argv = ["sh", "-c", script, "--", "--password=secret"].map(OsString::from);
    StreamSource::command(&argv, b"dump.sql", 77).unwrap()
}

/// Reads it whole; what the reading and the outcome say.
fn run(mut source: StreamSource) -> (Result<Vec<u8>>, Result<()>) {
    let outcome = source.outcome();
    let (_, origin, name) = told(events(&mut source).unwrap());
    assert!(outcome.check().is_err(), "nothing was read yet");
    let read = origin
        .open(&name)
        .and_then(|mut content| read_all(&mut *content));
    (read, outcome.check())
}

#[test]
fn one_file_below_the_root() {
    for (filename, expected) in [
        ("stdin", vec![("/", 0o755), ("/stdin", 0o644)]),
        (
            "/db//x/../main.sql",
            vec![("/", 0o755), ("/db", 0o755), ("/db/main.sql", 0o644)],
        ),
        ("../../up", vec![("/", 0o755), ("/up", 0o644)]),
    ] {
        let data = vec![7; 100_000];
        let reader = Box::new(std::io::Cursor::new(data.clone()));
        let mut source = StreamSource::reader(reader, "r", filename.as_bytes(), 77).unwrap();
        let outcome = source.outcome();
        let (told, origin, name) = told(events(&mut source).unwrap());
        let expected: Vec<_> = expected
            .iter()
            .map(|&(path, mode)| (path.to_owned(), mode))
            .collect();
        assert_eq!(told, expected);
        let mut content = origin.open(&name).unwrap();
        assert!(content.stat().unwrap().is_none());
        assert!(outcome.check().is_err(), "not read yet");
        assert_eq!(read_all(&mut *content).unwrap(), data);
        assert_eq!(content.next(&mut [0]).unwrap(), Run::End);
        outcome.check().unwrap();
        assert!(origin.open(&name).is_err(), "only once");
        assert!(origin.open(b"other").is_err());
        assert_eq!(origin.xattrs(&name).unwrap(), []);
        outcome.check().unwrap();
    }
    for filename in ["", "/", "..", "a/..", "a\0b", &"x".repeat(256)] {
        let error = StreamSource::stdin(filename.as_bytes(), 0).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{filename}");
    }
}

#[test]
fn what_a_command_prints() {
    let (read, outcome) = run(shell("printf 'a\\0b'; head -c 300000 /dev/zero"));
    let read = read.unwrap();
    assert_eq!(&read[..3], b"a\0b");
    assert_eq!(read.len(), 300_003);
    outcome.unwrap();
    // It has nothing to read.
    let (read, outcome) = run(shell("cat"));
    assert_eq!(read.unwrap(), b"");
    outcome.unwrap();
}

#[test]
fn a_command_that_fails_makes_no_snapshot() {
    for (script, status) in [
        ("echo half; exit 3", "exit status: 3"),
        ("exit 1", "exit status: 1"),
        ("echo x; kill -9 $$", "signal: 9"),
        // Output closed long before the end.
        ("exec >&-; exit 9", "exit status: 9"),
    ] {
        let (read, outcome) = run(shell(script));
        for error in [read.unwrap_err(), outcome.unwrap_err()] {
            assert!(error.message().contains(status), "{error}");
            assert_eq!(error.subject_text(), Some("sh"));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
    let argv = ["/no/such/command", "--password=secret"].map(OsString::from);
    let source = StreamSource::command(&argv, b"x", 77).unwrap();
    let (read, outcome) = run(source);
    for error in [read.unwrap_err(), outcome.unwrap_err()] {
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.subject_text(), Some("/no/such/command"));
    }
    assert_eq!(
        StreamSource::command(&[], b"x", 0).unwrap_err().kind(),
        Kind::Usage
    );
}

#[test]
fn the_walk_fails_where_the_reading_failed_before_it_ended() {
    let mut source = shell("echo x; exit 4");
    let error = source
        .walk(&Silent, &mut |batch| {
            let (_, origin, name) = told(batch);
            let read = origin
                .open(&name)
                .and_then(|mut content| read_all(&mut *content));
            assert!(read.is_err());
            Ok(())
        })
        .unwrap_err();
    assert!(error.message().contains("exit status: 4"), "{error}");
}

#[test]
fn a_reader_that_fails_is_named() {
    struct Broken(u8);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(ErrorKind::Interrupted.into()),
                2 => {
                    buffer[0] = b'x';
                    Ok(1)
                }
                _ => Err(ErrorKind::ConnectionReset.into()),
            }
        }
    }
    let source = StreamSource::reader(Box::new(Broken(0)), "the pipe", b"f", 77).unwrap();
    let (read, outcome) = run(source);
    assert_eq!(read.unwrap_err().subject_text(), Some("the pipe"));
    assert!(outcome.is_err());
}

#[test]
fn a_command_nobody_listens_to_is_stopped() {
    let mut source = shell("while :; do echo y; done");
    let outcome = source.outcome();
    let (_, origin, name) = told(events(&mut source).unwrap());
    let mut content = origin.open(&name).unwrap();
    assert!(matches!(content.next(&mut [0; 10]).unwrap(), Run::Data(_)));
    // Would wait for ever if it were not.
    drop(content);
    assert!(outcome.check().is_err());
}
