//! Side by side with other programs: what buildah builds from the same Dockerfile, what skopeo writes and reads.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use gantry_images::{BuildOptions, Digest, ImageConfig, Progress, Store, silent};

use crate::TestStore;
use crate::archive::{Tar, docker_archive};

/// buildah with a storage of its own, as a program in a directory of its own.
fn buildah(directory: &Path) -> std::path::PathBuf {
    let program = directory.join("bin/buildah");
    fs::create_dir_all(directory.join("bin")).unwrap();
    let script = format!(
        "#!/bin/sh\nexport BUILDAH_ISOLATION=chroot\nexec buildah --storage-driver vfs --root {0}/root --runroot {0}/run \"$@\"\n",
        directory.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn run(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let output = command.output().unwrap_or_else(|error| {
        panic!("{shown}: {error}; this test compares with buildah and skopeo, which have to be installed")
    });
    assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All files of an image as the kernel shows them: mode, owner, target of a link, digest of the content.
fn files(store: &Store, digest: &Digest) -> Vec<String> {
    let mut lower = store.prepare(digest).unwrap();
    let place = tempfile::tempdir().unwrap();
    // Without an upper directory, overlayfs wants at least two lower ones.
    lower.push(place.path().join("empty"));
    for directory in ["empty", "merged"] {
        fs::create_dir(place.path().join(directory)).unwrap();
    }
    let lower: Vec<_> = lower.iter().map(|path| path.to_str().unwrap()).collect();
    let script = format!(
        "mount -t overlay overlay -o lowerdir={} {merged} && cd {merged} && \
         find . -mindepth 1 -printf '%P %M %U:%G %l\\n' | sort && find . -type f -exec md5sum {{}} + | sort",
        lower.join(":"),
        merged = place.path().join("merged").display()
    );
    let found = run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    assert!(!found.is_empty());
    found.lines().map(str::to_owned).collect()
}

/// What both builders have to agree in. Labels with a builder's own version do not count.
fn comparable(mut config: ImageConfig) -> ImageConfig {
    config.created = None;
    config.diff_ids.clear();
    config.labels.retain(|name, _| !name.starts_with("io.buildah"));
    // "/" and none mean the same.
    if config.working_dir == "/" {
        config.working_dir.clear();
    }
    config
}

#[test]
fn images_are_those_that_buildah_builds() {
    let place = tempfile::tempdir().unwrap();
    let buildah = buildah(place.path());
    let context = tempfile::tempdir().unwrap();
    for (path, content) in [
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("d/x", "x"),
        ("d/e/y", "y"),
        ("d/e/z.md", "z"),
        ("ignored/x", "i"),
        (".dockerignore", "ignored\n**/*.md\n!d/e/z.md"),
        ("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/x\n"),
        ("etc/group", "staff:x:50:\n"),
        ("tmp/t", "t"),
    ] {
        let path = context.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::set_permissions(context.path().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(context.path().join("a.txt"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("x", context.path().join("d/link")).unwrap();
    run(Command::new("tar").current_dir(context.path()).args([
        "--owner=3:3",
        "--group=4:4",
        "-czf",
        "t.tar.gz",
        "d",
    ]));

    #[rustfmt::skip]
    let dockerfiles = [
        "FROM scratch\nCOPY a.txt /",
        "FROM scratch\nCOPY a.txt b.txt /x/\nCOPY d /x\nCOPY d /y/\nCOPY d/e/* /z/\nCOPY ?.txt /q/",
        "FROM scratch\nCOPY . /all\nWORKDIR /w/x\nCOPY a.txt .\nCOPY a.txt ../up",
        "FROM scratch\nCOPY etc /etc\nCOPY tmp /tmp\nCOPY --chown=app:staff a.txt /n\nCOPY --chown=7 b.txt /m\n\
         COPY --chown=7:8 --chmod=640 a.txt /o\nCOPY a.txt /tmp/late",
        "FROM scratch\nADD t.tar.gz /x/\nCOPY t.tar.gz /y/",
        "ARG V=a\nFROM scratch AS one\nARG V\nARG W=w\nENV A=$V B=\"x y\" C=${W:-q} D=$NONE PATH=/p:$PATH\nCOPY ${W:+a.txt} /one/\n\
         FROM scratch AS two\nCOPY --from=one /one/a.txt /two/$V\nLABEL a=b \"c d\"='e f'\n\
         FROM two\nCOPY --from=0 /one /one\nENV A=1\nENV A=2 E=$A",
        "FROM scratch\nCOPY a.txt /\nEXPOSE 80 53/udp 7000-7002\nUSER 5:6\nSTOPSIGNAL SIGINT\nVOLUME /v /w\n\
         ENTRYPOINT [\"/a.txt\", \"x\"]\nCMD [\"y z\"]\nHEALTHCHECK --interval=5s --timeout=2s --retries=4 CMD [\"/h\"]",
        "FROM scratch\nCOPY a.txt /\nENV A 1 2\nENTRYPOINT run \"$A\"\nCMD other $A\nSTOPSIGNAL 9",
        "# escape=`\nFROM scratch\n\nENV A=1 `\n  # comment\n  B=2\nCOPY `\n a.txt /\nMAINTAINER me",
        "FROM scratch\nCOPY d /x\nFROM scratch\nCOPY --from=0 /x/link /x/e /l/",
    ];
    for dockerfile in dockerfiles {
        let file = place.path().join("Dockerfile");
        fs::write(&file, dockerfile).unwrap();
        let archive = place.path().join("theirs.tar");
        let _ = fs::remove_file(&archive);
        run(Command::new(&buildah)
            .args(["build", "--quiet", "--no-cache", "--format", "docker", "--tag", "theirs", "--file"])
            .arg(&file)
            .arg(context.path()));
        run(Command::new(&buildah).args([
            "push",
            "--quiet",
            "theirs",
            &format!("docker-archive:{}:theirs:1", archive.display()),
        ]));
        let store = TestStore::new();
        let theirs = store.load_path(&archive, None, &silent).unwrap()[0].digest;
        let options =
            BuildOptions { dockerfile: Some(file), tags: vec!["ours".into()], ..BuildOptions::default() };
        let ours = store
            .build(context.path(), &options, &silent)
            .unwrap_or_else(|error| panic!("{dockerfile}: {error}"));
        assert_eq!(ours.builder, None);
        assert_eq!(files(&store, &ours.digest), files(&store, &theirs), "{dockerfile}");
        let config = |digest| comparable(store.image(digest).unwrap().config);
        assert_eq!(config(&ours.digest), config(&theirs), "{dockerfile}");
    }
}

#[test]
fn a_dockerfile_with_run_is_built_by_buildah_and_loaded() {
    let place = tempfile::tempdir().unwrap();
    let program = buildah(place.path());
    let store = TestStore::new();
    // A base that only our store has: a shell and what it needs to run.
    let context = tempfile::tempdir().unwrap();
    let mut layer = Tar::new();
    let libraries = run(Command::new("ldd").arg("/bin/sh"));
    let paths = libraries.split_whitespace().filter(|word| word.starts_with('/')).chain(["/bin/sh"]);
    for path in paths {
        let header = crate::archive::Header { path: path.as_bytes(), mode: 0o755, ..Default::default() };
        layer = layer.entry(&header, &fs::read(path).unwrap());
    }
    for directory in ["etc", "proc", "sys", "dev", "run", "tmp"] {
        layer = layer.directory(directory);
    }
    let base = docker_archive(&["host.invalid/shell:1"], &[layer.finish()]);
    store.load(&base[..], None, &silent).unwrap();
    fs::write(
        context.path().join("Dockerfile"),
        "FROM host.invalid/shell:1\nARG WHO=nobody\nENV A=1\nRUN echo \"built for $WHO\" > /result\nCMD [\"/result\"]",
    )
    .unwrap();
    let lines = std::sync::Mutex::new(Vec::new());
    let options = BuildOptions {
        tags: vec!["with-run:1".into(), "with-run:2".into()],
        build_args: BTreeMap::from([("WHO".into(), "gantry".into())]),
        source_date_epoch: Some(1_600_000_000),
        builder_path: Some(program.parent().unwrap().into()),
        ..BuildOptions::default()
    };
    let built = store
        .build(context.path(), &options, &|progress| {
            if let Progress::Line(line) = progress {
                lines.lock().unwrap().push(line.to_owned());
            }
        })
        .unwrap_or_else(|error| panic!("{error}: {:#?}", lines.lock().unwrap()));
    assert_eq!(built.builder, Some("buildah"));
    let image = store.image(&built.digest).unwrap();
    assert_eq!(image.config.cmd, ["/result"]);
    let layers = store.prepare(&built.digest).unwrap();
    let result = layers.iter().map(|layer| layer.join("result")).find(|path| path.exists()).unwrap();
    assert_eq!(fs::read_to_string(&result).unwrap(), "built for gantry\n");
    assert_eq!(result.metadata().unwrap().mtime(), 1_600_000_000);
    let names: Vec<_> = store.list().unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(names, ["with-run:1", "with-run:2", "host.invalid/shell:1"]);
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("RUN echo")), "its lines are shown");
    let left = run(Command::new(&program).args([
        "images",
        "--quiet",
        "--filter",
        "reference=localhost/gantry-build",
    ]));
    assert_eq!(left, "", "nothing of ours stays there");

    fs::write(context.path().join("Dockerfile"), "FROM host.invalid/shell:1\nRUN exit 3").unwrap();
    let error = store.build(context.path(), &options, &silent).unwrap_err().to_string();
    assert!(error.starts_with("buildah failed with exit status"), "{error}");
}

#[test]
fn skopeo_reads_the_store_and_we_read_what_it_writes() {
    let store = TestStore::new();
    let layers = [Tar::new().file("f", b"1").finish(), Tar::new().file("g", b"2").finish()];
    let ours = store.load(&docker_archive(&["app:1"], &layers)[..], None, &silent).unwrap()[0].digest;
    let place = tempfile::tempdir().unwrap();
    let from = format!("oci:{}:docker.io/library/app:1", store.path().display());
    for (kind, name) in [("oci-archive", "copy:1"), ("docker-archive", "copy:1"), ("oci", "copy:1")] {
        let path = place.path().join(kind);
        let to = format!("{kind}:{}:{name}", path.display());
        run(Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
        let other = TestStore::new();
        let loaded = other.load_path(&path, None, &silent).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let digest = other.resolve("copy:1").unwrap().unwrap();
        assert_eq!(loaded[0].digest, digest);
        assert_eq!(other.image(&digest).unwrap().config, store.image(&ours).unwrap().config, "{kind}");
        let lower = other.prepare(&digest).unwrap();
        assert_eq!(fs::read(lower[1].join("f")).unwrap(), b"1", "{kind}");
    }
}
