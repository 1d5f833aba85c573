use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn read_all(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(archive);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut content = Vec::new();
        reader.content().read_to_end(&mut content)?;
        entries.push((entry, content));
    }
    reader.drain()?;
    Ok(entries)
}

/// The file as it is to be written, with its holes.
fn whole(entry: &Entry, content: &[u8]) -> Vec<u8> {
    let Some(pieces) = &entry.pieces else { return content.to_vec() };
    let mut file = vec![0; usize::try_from(entry.size).unwrap()];
    let mut at = 0;
    for (offset, length) in pieces {
        let (offset, length) = (usize::try_from(*offset).unwrap(), usize::try_from(*length).unwrap());
        file[offset..offset + length].copy_from_slice(&content[at..at + length]);
        at += length;
    }
    file
}

fn tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").current_dir(directory).args(arguments).output();
    let output = output.expect("GNU tar has to be installed for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn archives_of_gnu_tar_are_read_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    fs::create_dir_all(root.join(Path::new(&long).parent().unwrap())).unwrap();
    fs::write(root.join(&long), "long").unwrap();
    fs::write(root.join("file"), vec![7; 1000]).unwrap();
    fs::write(root.join("ünïcode"), "").unwrap();
    fs::hard_link(root.join("file"), root.join("hard")).unwrap();
    std::os::unix::fs::symlink("t".repeat(200), root.join("symlink")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for piece in 0..40 {
        sparse.write_all_at(b"data", piece * 100_000).unwrap();
    }
    sparse.set_len(5_000_000).unwrap();
    let expected_sparse = fs::read(root.join("sparse")).unwrap();

    let formats: [&[&str]; 5] = [
        &["--format=gnu", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=gnu"],
    ];
    for format in formats {
        let mut arguments = vec!["--sort=name", "--hard-dereference", "-c"];
        arguments.extend_from_slice(format);
        arguments.retain(|argument| *argument != "--hard-dereference");
        arguments.push(".");
        let entries = read_all(&tar(root, &arguments)).unwrap_or_else(|error| panic!("{format:?}: {error}"));
        let find = |name: &str| {
            let path = format!("./{name}");
            entries.iter().find(|(entry, _)| entry.path == path.as_bytes()).unwrap_or_else(|| {
                panic!("{format:?}: no {path} in {:?}", entries.iter().map(|e| &e.0.path).collect::<Vec<_>>())
            })
        };
        assert_eq!(find(&long).1, b"long", "{format:?}");
        assert_eq!(find("file").1, vec![7; 1000], "{format:?}");
        assert_eq!(find("ünïcode").0.size, 0, "{format:?}");
        assert_eq!((find("hard").0.kind, find("hard").0.link.as_slice()), (Kind::HardLink, &b"./file"[..]));
        assert_eq!(find("symlink").0.link, vec![b't'; 200], "{format:?}");
        let (entry, content) = find("sparse");
        assert_eq!(entry.pieces.is_some(), format.contains(&"--sparse"), "{format:?}");
        assert_eq!(entry.size, 5_000_000, "{format:?}");
        assert!(whole(entry, content) == expected_sparse, "{format:?}");
        let file = root.join("file").metadata().unwrap();
        assert_eq!(find("file").0.mtime_seconds, file.mtime(), "{format:?}");
        assert_eq!(find("file").0.mode, file.mode() & 0o7777, "{format:?}");
        if format.contains(&"--format=posix") {
            assert_eq!(i64::from(find("file").0.mtime_nanoseconds), file.mtime_nsec(), "{format:?}");
        }
    }
}

fn file(path: &[u8], size: u64) -> Entry {
    let entry = Entry::new(path, Kind::File);
    Entry { mode: 0o644, mtime_seconds: 1, size, ..entry }
}

fn write(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry).unwrap();
        writer.content(content).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn gnu_tar_reads_what_we_write() {
    let long = [vec![b'd'; 90], b"/".to_vec(), vec![b'e'; 90], b"/".to_vec(), vec![b'f'; 200]].concat();
    let mut link = file(b"link", 0);
    (link.kind, link.link) = (Kind::Symlink, vec![b't'; 150]);
    let mut owned = file(b"owned", 3);
    (owned.uid, owned.gid, owned.mode) = (3_000_000_000, 4_000_000, 0o4755);
    let split = [vec![b'p'; 120], b"/name".to_vec()].concat();
    let entries = [
        (file(&long, 4), b"long".to_vec()),
        (link, vec![]),
        (owned, b"own".to_vec()),
        (file(&split, 0), vec![]),
    ];
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("archive"), write(&entries)).unwrap();
    let listing = tar(directory.path(), &["--numeric-owner", "-tvf", "archive"]);
    let listing = String::from_utf8(listing).unwrap();
    let lines: Vec<_> = listing.lines().collect();
    assert!(lines[0].ends_with(&String::from_utf8(long).unwrap()), "{listing}");
    assert!(lines[1].ends_with(&format!("link -> {}", "t".repeat(150))), "{listing}");
    assert!(lines[2].starts_with("-rwsr-xr-x 3000000000/4000000"), "{listing}");
    assert!(lines[3].ends_with(&String::from_utf8(split).unwrap()), "{listing}");
}

#[test]
fn extended_attributes_may_hold_any_byte() {
    let mut entry = file(b"bin", 0);
    // As a capability of CAP_DAC_OVERRIDE and CAP_FOWNER has it: a newline.
    entry.xattrs = vec![(b"security.capability".to_vec(), b"\x01\0\0\x02\x0a\0\0\0=\n\n".to_vec())];
    let read = read_all(&write(&[(entry.clone(), vec![])])).unwrap();
    assert_eq!(read[0].0, entry);
}

/// A header with the checksum that it should have.
fn header(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut block = write(&[(file(b"name", 0), vec![])])[..BLOCK].to_vec();
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn pax(records: &[u8]) -> Vec<u8> {
    let mut archive = header(|block| {
        block[156] = b'x';
        block[124..136].copy_from_slice(format!("{:011o}\0", records.len()).as_bytes());
    });
    archive.extend_from_slice(records);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    archive.extend(header(|_| {}));
    archive.extend([0; 2 * BLOCK]);
    archive
}

#[test]
fn damaged_archives_are_refused() {
    let size = |text: &[u8]| header(|block| block[124..124 + text.len()].copy_from_slice(text));
    let table: [(&str, Vec<u8>, &str); 18] = [
        ("no archive", vec![b'x'; BLOCK], "checksum"),
        ("half a header", vec![0; 100], "middle of an entry"),
        ("content missing", size(b"00000001000\0"), "middle of an entry"),
        ("zeros, then more", [vec![0; BLOCK], header(|_| {})].concat(), "checksum"),
        ("unknown type", header(|block| block[156] = b'Z'), "entry type 'Z'"),
        ("size not octal", size(b"9999\0"), "size is not a number"),
        ("negative size", size(&[0xff; 12]), "size is not a number"),
        ("absurd size", size(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "middle of"),
        ("size beyond 64 bits", size(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "size is not a number"),
        ("pax without a length", pax(b"path=x\n"), "pax record"),
        ("pax length too long", pax(b"99 path=x\n"), "pax record"),
        ("pax length too short", pax(b"3 path=x\n"), "pax record"),
        ("pax length 0", pax(b"0 a=b\n"), "pax record"),
        ("pax without equals", pax(b"7 path\n"), "pax record"),
        ("pax name with NUL", pax(b"11 path=a\0\n"), "NUL"),
        ("pax size not a number", pax(b"11 size=-1\n"), "not one"),
        ("half a sparse map", pax(b"21 GNU.sparse.map=1,\n"), "sparse"),
        ("pax header alone", pax(b"11 path=ab\n")[..2 * BLOCK].to_vec(), "middle of an entry"),
    ];
    for (name, archive, expected) in table {
        let error = read_all(&archive).err().unwrap_or_else(|| panic!("{name} is taken")).to_string();
        assert!(error.contains(expected), "{name} gives: {error}");
    }
    let huge = header(|block| {
        block[156] = b'x';
        block[124..136].copy_from_slice(b"77777777777\0");
    });
    assert!(read_all(&huge).unwrap_err().to_string().contains("more than a mebibyte"));
    let endless = [header(|block| block[156] = b'g'), header(|block| block[156] = b'x')].concat().repeat(20);
    assert!(read_all(&endless).unwrap_err().to_string().contains("too many extension headers"));
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let sparse = |map: &str, real: u64| {
        let record = |key: &str, value: &str| {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..).find(|length| length.to_string().len() + rest == *length).unwrap();
            format!("{length} {key}={value}\n")
        };
        let records = record("GNU.sparse.map", map) + &record("GNU.sparse.size", &real.to_string());
        read_all(&pax(records.as_bytes()))
    };
    assert_eq!(sparse("", 100).unwrap()[0].0.size, 100);
    for (map, real) in [("0,1", 100), ("100,1", 100), ("5,0,3,0", 100), ("101,0", 100)] {
        assert!(sparse(map, real).is_err(), "{map}");
    }
    assert!(sparse("18446744073709551615,18446744073709551615", 100).is_err());
}

#[test]
fn an_archive_may_end_without_zeros() {
    let archive = write(&[(file(b"a", 3), b"abc".to_vec())]);
    assert_eq!(read_all(&archive[..2 * BLOCK]).unwrap().len(), 1);
    assert_eq!(read_all(&archive[..3 * BLOCK]).unwrap().len(), 1);
    assert!(read_all(&[]).unwrap().is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        path in prop::collection::vec(1_u8..=255, 1..400),
        link in prop::collection::vec(1_u8..=255, 1..300),
        kind in prop::sample::select(vec![Kind::File, Kind::HardLink, Kind::Symlink, Kind::Fifo]),
        ids in any::<(u32, u32)>(),
        mode in 0_u32..0o10000,
        mtime_seconds in any::<i32>(),
        content in prop::collection::vec(any::<u8>(), 0..1500),
        value in prop::collection::vec(any::<u8>(), 1..50),
    ) {
        // A name that ends with a slash is a directory's.
        prop_assume!(!path.ends_with(b"/"));
        let mut entry = file(&path, 0);
        (entry.kind, entry.mode, entry.mtime_seconds) = (kind, mode, mtime_seconds.into());
        (entry.uid, entry.gid) = (ids.0.into(), ids.1.into());
        entry.xattrs = vec![(b"user.x".to_vec(), value)];
        let content = if kind == Kind::File { content } else { Vec::new() };
        entry.size = content.len() as u64;
        if matches!(kind, Kind::HardLink | Kind::Symlink) {
            entry.link = link;
        }
        let entries = [(entry, content)];
        prop_assert_eq!(&read_all(&write(&entries)).unwrap()[..], &entries);
    }

    #[test]
    fn no_input_panics(
        change in prop::collection::vec((0_usize..3 * BLOCK, any::<u8>()), 0..20),
        kind in any::<u8>(),
    ) {
        let mut archive = pax(b"11 path=ab\n");
        archive[2 * BLOCK + 156] = kind;
        for (at, byte) in change {
            archive[at] = byte;
        }
        let _ = read_all(&archive);
        // The same with its checksums right, to get further.
        for block in [0, 2 * BLOCK] {
            archive[block + 148..block + 156].fill(b' ');
            let sum: u64 = archive[block..block + BLOCK].iter().map(|byte| u64::from(*byte)).sum();
            archive[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let _ = read_all(&archive);
    }
}
