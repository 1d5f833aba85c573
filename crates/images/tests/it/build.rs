//! Dockerfiles, and the images that they become.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gantry_images::{BuildError, BuildOptions, Built, ExposedPort, Image, Limits, Progress, Store, silent};

use crate::TestStore;
use crate::archive::{Header, Tar, config, gzip};

/// A build context, written as `path -> content`; paths that end with a slash are directories.
struct Context {
    directory: tempfile::TempDir,
}

impl Context {
    fn new(files: &[(&str, &str)]) -> Self {
        let context = Self { directory: tempfile::tempdir().unwrap() };
        for (path, content) in files {
            context.write(path, content.as_bytes());
        }
        context
    }
    fn path(&self) -> &Path {
        self.directory.path()
    }
    fn write(&self, path: &str, content: &[u8]) {
        let full = self.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).unwrap();
            return;
        }
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, content).unwrap();
    }
}

fn options(tag: &str) -> BuildOptions {
    // No other builder: what is tested here is our own.
    BuildOptions {
        tags: vec![tag.into()],
        builder_path: Some("/nonexistent".into()),
        ..BuildOptions::default()
    }
}

fn build(store: &TestStore, dockerfile: &str, context: &Context) -> Result<Built, BuildError> {
    context.write("Dockerfile", dockerfile.as_bytes());
    store.build(context.path(), &options("built"), &silent)
}

/// The files of an image as a container sees them: path, and content or what else it is.
fn files(store: &TestStore, image: &Built) -> Vec<String> {
    let lower = store.prepare(&image.digest).unwrap();
    let mut seen = BTreeMap::new();
    let mut hidden: Vec<PathBuf> = Vec::new();
    for layer in &lower {
        let mut pending = vec![layer.clone()];
        let mut hides = Vec::new();
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let inside = path.strip_prefix(layer).unwrap().to_owned();
                if hidden.iter().any(|above| inside.starts_with(above)) {
                    continue;
                }
                let metadata = path.symlink_metadata().unwrap();
                if metadata.file_type().is_char_device() {
                    hides.push(inside);
                    continue;
                }
                let shown = if metadata.is_dir() {
                    pending.push(path.clone());
                    "/".to_owned()
                } else if metadata.is_symlink() {
                    format!(" -> {}", fs::read_link(&path).unwrap().display())
                } else {
                    format!("={}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
                };
                let mode = metadata.mode() & 0o7777;
                let owner = match (metadata.uid(), metadata.gid()) {
                    (0, 0) => String::new(),
                    (uid, gid) => format!(" {uid}:{gid}"),
                };
                let mode = match (metadata.is_dir(), metadata.is_symlink(), mode) {
                    (true, _, 0o755) | (_, true, _) | (false, false, 0o644) => String::new(),
                    _ => format!(" {mode:o}"),
                };
                seen.entry(inside.clone()).or_insert(format!("{}{shown}{mode}{owner}", inside.display()));
                if !metadata.is_dir() {
                    hides.push(inside);
                }
            }
        }
        hidden.extend(hides);
    }
    seen.into_values().collect()
}

fn image(store: &TestStore, built: &Built) -> Image {
    store.image(&built.digest).unwrap()
}

#[test]
fn a_small_web_server_is_built() {
    let store = TestStore::new();
    let context =
        Context::new(&[("target/lab", "binary"), ("pages/index.html", "hello"), ("pages/css/a.css", "a")]);
    fs::set_permissions(context.path().join("target/lab"), fs::Permissions::from_mode(0o755)).unwrap();
    let built = build(
        &store,
        r#"# The lab.
FROM scratch
COPY target/lab /lab
COPY pages /pages/
ENV PORT=8080 MODE="a b" \
    BASE=/
EXPOSE $PORT 53/udp 9000-9002
LABEL org.example.name=lab "with space"='x y'
USER 65532:65532
WORKDIR /srv/data
STOPSIGNAL SIGQUIT
VOLUME ["/srv/data"]
HEALTHCHECK --interval=5s --retries=2 CMD ["/lab", "--check"]
ENTRYPOINT ["/lab"]
CMD ["--port", "8080"]
"#,
        &context,
    )
    .unwrap();
    assert_eq!(built.warnings, Vec::<String>::new());
    assert_eq!(store.resolve("built:latest").unwrap(), Some(built.digest));
    let image = image(&store, &built);
    let config = image.config;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(config.env, [path, "PORT=8080", "MODE=a b", "BASE=/"]);
    let port = |port, protocol: &str| ExposedPort { port, protocol: protocol.into() };
    let ports = [port(53, "udp"), port(8080, "tcp"), port(9000, "tcp"), port(9001, "tcp"), port(9002, "tcp")];
    assert_eq!(config.exposed_ports, ports);
    assert_eq!(config.labels["org.example.name"], "lab");
    assert_eq!(config.labels["with space"], "x y");
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("65532:65532", "/srv/data"));
    assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
    assert_eq!(config.volumes, ["/srv/data"]);
    let check = config.healthcheck.unwrap();
    assert_eq!(
        (check.test, check.interval),
        (vec!["CMD".into(), "/lab".into(), "--check".into()], Some(5_000_000_000))
    );
    assert_eq!((config.entrypoint, config.cmd), (vec!["/lab".into()], vec!["--port".into(), "8080".into()]));
    assert_eq!(image.layers.len(), 3);
    let expected = [
        "lab=binary 755",
        "pages/",
        "pages/css/",
        "pages/css/a.css=a",
        "pages/index.html=hello",
        "srv/",
        "srv/data/",
    ];
    assert_eq!(files(&store, &built), expected);
}

/// Context, instructions after FROM scratch, and the files of the image; or the error.
#[test]
fn files_are_copied_as_docker_copies_them() {
    let context = || {
        let context = Context::new(&[
            ("a.txt", "a"),
            ("b.txt", "b"),
            ("d/x", "x"),
            ("d/e/y", "y"),
            ("d/empty/", ""),
            ("s p/f", "f"),
            ("[b]", "[b]"),
        ]);
        symlink("a.txt", context.path().join("link")).unwrap();
        symlink("d", context.path().join("dirlink")).unwrap();
        symlink("../a.txt", context.path().join("d/up")).unwrap();
        symlink("/etc/passwd", context.path().join("absolute")).unwrap();
        symlink("../../etc/passwd", context.path().join("outside")).unwrap();
        symlink("loop", context.path().join("loop")).unwrap();
        context
    };
    let d = |at: &str| {
        ["e/", "e/y=y", "empty/", "up -> ../a.txt", "x=x"].map(|file| format!("{at}{file}")).to_vec()
    };
    let list = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>();
    #[rustfmt::skip]
    let table: Vec<(&str, Result<Vec<String>, &str>)> = vec![
        ("COPY a.txt /", Ok(list(&["a.txt=a"]))),
        ("COPY a.txt .", Ok(list(&["a.txt=a"]))),
        ("COPY a.txt /b", Ok(list(&["b=a"]))),
        ("COPY a.txt /b/", Ok(list(&["b/", "b/a.txt=a"]))),
        ("COPY a.txt /b/c/d", Ok(list(&["b/", "b/c/", "b/c/d=a"]))),
        ("COPY a.txt b.txt /b/", Ok(list(&["b/", "b/a.txt=a", "b/b.txt=b"]))),
        ("COPY a.txt b.txt .", Ok(list(&["a.txt=a", "b.txt=b"]))),
        ("COPY a.txt b.txt /b", Err("destination has to be a directory and end with a slash")),
        ("COPY *.txt /b/", Ok(list(&["b/", "b/a.txt=a", "b/b.txt=b"]))),
        ("COPY *.txt /b", Err("destination has to be a directory")),
        ("COPY a.t?t /b", Ok(list(&["b=a"]))),
        ("COPY [a-b].txt /b/", Ok(list(&["b/", "b/a.txt=a", "b/b.txt=b"]))),
        ("COPY [[]b] /b", Ok(list(&["b=[b]"]))),
        ("COPY *.none /b/\nCOPY a.txt /", Ok(list(&["a.txt=a"]))),
        ("COPY a.txt none* /b/", Ok(list(&["b/", "b/a.txt=a"]))),
        ("COPY d/*/y /b/", Ok(list(&["b/", "b/y=y"]))),
        ("COPY none /b/", Err("line 2: \"none\" is not in the build context")),
        ("COPY a.txt none /b/", Err("\"none\" is not in the build context")),
        ("COPY a.txt/x /b/", Err("\"a.txt/x\" is not in")),
        ("COPY d /b", Ok([list(&["b/"]), d("b/")].concat())),
        ("COPY d /b/", Ok([list(&["b/"]), d("b/")].concat())),
        ("COPY d/ /", Ok(d(""))),
        ("COPY d /b\nCOPY d /b", Ok([list(&["b/"]), d("b/")].concat())),
        ("COPY d d/e /b/", Ok(list(&["b/", "b/e/", "b/e/y=y", "b/empty/", "b/up -> ../a.txt", "b/x=x", "b/y=y"]))),
        ("COPY . /c/", Err("cannot be in an image")),
        ("COPY ./d/../a.txt /", Ok(list(&["a.txt=a"]))),
        ("COPY ../../a.txt /", Ok(list(&["a.txt=a"]))),
        ("COPY /a.txt /b/../c", Ok(list(&["c=a"]))),
        ("COPY link /b", Ok(list(&["b=a"]))),
        ("COPY link /b/", Ok(list(&["b/", "b/link=a"]))),
        ("COPY dirlink /b", Ok([list(&["b/"]), d("b/")].concat())),
        ("COPY dirlink/x /b", Ok(list(&["b=x"]))),
        ("COPY d/up /b", Ok(list(&["b=a"]))),
        ("COPY absolute /b", Err("\"absolute\" is a symbolic link, or lies behind one, that leaves the build context")),
        ("COPY outside /b", Err("leaves the build context")),
        ("COPY loop /b", Err("more than 40 symbolic links")),
        ("COPY [\"s p/f\", \"/b c/\"]", Ok(list(&["b c/", "b c/f=f"]))),
        ("COPY --chmod=0600 a.txt /b", Ok(list(&["b=a 600"]))),
        ("COPY --chmod=4711 d/e /b", Ok(list(&["b/", "b/y=y 4711"]))),
        ("COPY --chmod=rwx a.txt /b", Err("--chmod needs an octal mode")),
        ("COPY --chmod=10000 a.txt /b", Err("--chmod needs an octal mode")),
        ("COPY --chown=5:6 d/e /b/c", Ok(list(&["b/ 5:6", "b/c/ 5:6", "b/c/y=y 5:6"]))),
        ("COPY --chown=5 a.txt /b", Ok(list(&["b=a 5:5"]))),
        ("COPY --chown=app a.txt /b", Err("/etc/passwd does not have \"app\"")),
        ("COPY --chown=4294967295 a.txt /b", Err("/etc/passwd")),
        ("COPY a.txt /f\nCOPY a.txt /f/x", Err("is not a directory")),
        ("COPY a.txt /f\nCOPY d /f", Err("is not a directory")),
        ("COPY a.txt /f\nCOPY a.txt b.txt /f/", Err("is not a directory")),
        ("COPY d /b/\nCOPY a.txt /b/e", Ok([list(&["b/"]), d("b/"), list(&["b/e/a.txt=a"])].concat())),
        ("COPY a.txt /e\nCOPY d /", Err("the directory \"e\" cannot replace something else")),
        ("COPY d /q\nCOPY d/e/y /n/q\nCOPY --from=0 / /", Err("--from=0 is not a stage in front")),
        ("COPY a.txt /f\nCOPY b.txt /f", Ok(list(&["f=b"]))),
        ("COPY a.txt $NONE", Ok(list(&["a.txt=a"]))),
        ("COPY $NONE /b", Err("a source is \"\"")),
        ("ENV N=a.txt\nCOPY $N /${N}.copy", Ok(list(&["a.txt.copy=a"]))),
        ("WORKDIR /w\nCOPY a.txt b/", Ok(list(&["w/", "w/b/", "w/b/a.txt=a"]))),
        ("WORKDIR /w\nWORKDIR x\nCOPY a.txt ..", Ok(list(&["w/", "w/a.txt=a", "w/x/"]))),
        ("COPY a.txt /w\nWORKDIR /w", Err("\"/w\" is not a directory")),
        ("ADD https://host.example/x /b", Err("is not fetched")),
        ("ADD a.txt d/x /b/", Ok(list(&["b/", "b/a.txt=a", "b/x=x"]))),
        ("COPY d/.wh.gone /", Err("mean that a file is removed")),
    ];
    for (instructions, expected) in table {
        let store = TestStore::new();
        let context = context();
        if instructions.contains("COPY . ") || instructions.contains(".wh.") {
            context.write("d/.wh.gone", b"");
        }
        let built = build(&store, &format!("FROM scratch\n{instructions}"), &context);
        match (built, expected) {
            (Ok(built), Ok(mut expected)) => {
                expected.sort_by(|a, b| {
                    let path = |text: &String| {
                        text.split([' ', '=']).next().unwrap().trim_end_matches('/').to_owned()
                    };
                    PathBuf::from(path(a)).cmp(&PathBuf::from(path(b)))
                });
                assert_eq!(files(&store, &built), expected, "{instructions}");
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{instructions} gives: {error}");
                assert_eq!(store.content(), Vec::<String>::new(), "{instructions} leaves something");
            }
            (Ok(built), Err(_)) => panic!("{instructions} is built: {:?}", files(&store, &built)),
            (Err(error), Ok(_)) => panic!("{instructions} fails: {error}"),
        }
    }
}

#[test]
fn dockerignore_hides_files_from_the_build() {
    let context = Context::new(&[
        (".dockerignore", "*\n!src\nsrc/secret\n!keep/**/x\n"),
        ("src/main", "m"),
        ("src/secret", "s"),
        ("other", "o"),
        ("keep/a/x", "x"),
        ("keep/a/y", "y"),
        ("keep/b/y", "y"),
    ]);
    let store = TestStore::new();
    let built = build(&store, "FROM scratch\nCOPY . /", &context).unwrap();
    assert_eq!(files(&store, &built), ["keep/", "keep/a/", "keep/a/x=x", "src/", "src/main=m"]);
    let error = build(&store, "FROM scratch\nCOPY other /", &context).unwrap_err().to_string();
    assert!(error.contains("or .dockerignore leaves it out"), "{error}");
    // One for this Dockerfile alone wins.
    context.write("Dockerfile.dockerignore", b"src\nkeep\nDockerfile*\n.dockerignore");
    let built = build(&store, "FROM scratch\nCOPY . /", &context).unwrap();
    assert_eq!(files(&store, &built), ["other=o"]);
    context.write("Dockerfile.dockerignore", b"[");
    let error = build(&store, "FROM scratch\nCOPY . /", &context).unwrap_err().to_string();
    assert!(error.contains("line 1 of") && error.contains("not a valid pattern"), "{error}");
}

fn base(store: &TestStore) {
    let passwd = b"root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n";
    let layer = Tar::new()
        .entry(&Header { path: b"tmp", kind: b'5', mode: 0o1777, mtime: 5, ..Header::default() }, b"")
        .entry(
            &Header { path: b"home/app", kind: b'5', mode: 0o700, uid: 1000, gid: 1001, ..Header::default() },
            b"",
        )
        .file("etc/passwd", passwd)
        .file("etc/group", b"root:x:0:\nstaff:x:50:\n")
        .file("usr/lib/old", b"old")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .symlink("current", "etc/passwd")
        .entry(&Header { path: b"owned", uid: 7, gid: 8, mode: 0o4750, ..Header::default() }, b"owned")
        .finish();
    let upper = Tar::new().file("usr/lib/.wh.old", b"").file("usr/lib/new", b"new").finish();
    let mut config = config(&[gantry_images::Digest::of(&layer), gantry_images::Digest::of(&upper)]);
    config["config"] = serde_json::json!({
        "Env": ["PATH=/bin", "A=base"], "Cmd": ["base-cmd"], "Entrypoint": ["base-entry"], "User": "app",
        "WorkingDir": "/home/app", "Labels": {"a": "base", "b": "base"}, "ExposedPorts": {"1/tcp": {}},
    });
    config["created"] = "2020-01-02T03:04:05Z".into();
    config["history"] = serde_json::json!([{"created_by": "base"}]);
    let manifest = serde_json::json!([{"Config": "c", "RepoTags": ["base:1"], "Layers": ["1", "2"]}]);
    let archive = Tar::new()
        .file("manifest.json", manifest.to_string().as_bytes())
        .file("c", config.to_string().as_bytes())
        .file("1", &gzip(&layer))
        .file("2", &upper)
        .finish();
    store.load(&archive[..], None, &silent).unwrap();
}

#[test]
fn an_image_of_the_store_is_built_upon() {
    let store = TestStore::new();
    base(&store);
    let context = Context::new(&[("f", "f")]);
    let built = build(
        &store,
        "FROM base:1\nCOPY f /tmp/f\nCOPY --chown=app f /home/app/\nCOPY --chown=app:staff f /lib/\n\
         COPY f /abs/abs\nCOPY f /current\nENV A=mine B=$A\nLABEL b=mine\nEXPOSE 2",
        &context,
    )
    .unwrap();
    let expected = [
        "abs -> /usr/lib",
        "current=f",
        "etc/",
        "etc/group=root:x:0:\nstaff:x:50:\n",
        "etc/passwd=root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
        "home/",
        "home/app/ 700 1000:1001",
        "home/app/f=f 1000:1001",
        "lib -> usr/lib",
        "owned=owned 4750 7:8",
        "tmp/ 1777",
        "tmp/f=f",
        "usr/",
        "usr/lib/",
        "usr/lib/abs=f",
        "usr/lib/f=f 1000:50",
        "usr/lib/new=new",
    ];
    assert_eq!(files(&store, &built), expected);
    let image = image(&store, &built);
    let config = &image.config;
    assert_eq!(config.env, ["PATH=/bin", "A=mine", "B=base"]);
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("app", "/home/app"));
    assert_eq!(
        (&config.entrypoint[..], &config.cmd[..]),
        (&["base-entry".to_owned()][..], &["base-cmd".to_owned()][..])
    );
    assert_eq!(config.labels, BTreeMap::from([("a".into(), "base".into()), ("b".into(), "mine".into())]));
    assert_eq!(config.exposed_ports.len(), 2);
    assert_eq!(image.layers.len(), 7);
    // A directory on the way to a file keeps its time too.
    let lower = store.prepare(&built.digest).unwrap();
    assert_eq!(lower[4].join("tmp").metadata().unwrap().mtime(), 5);

    let error = build(&store, "\nFROM none:1", &context).unwrap_err().to_string();
    assert!(error.contains("line 2: there is no image none:1 here; load it first"), "{error}");
    assert!(
        build(&store, "FROM Not_Valid", &context)
            .unwrap_err()
            .to_string()
            .contains("line 1: invalid image name")
    );
}

#[test]
fn an_entry_point_drops_the_bases_command() {
    let store = TestStore::new();
    base(&store);
    let context = Context::new(&[]);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    #[rustfmt::skip]
    let table: [(&str, &[&str], &[&str]); 8] = [
        ("ENTRYPOINT [\"e\"]", &["e"], &[]),
        ("CMD [\"c\"]\nENTRYPOINT [\"e\"]", &["e"], &["c"]),
        ("ENTRYPOINT [\"e\"]\nCMD c  d", &["e"], &["/bin/sh", "-c", "c  d"]),
        ("ENTRYPOINT []", &[], &[]),
        ("CMD []", &["base-entry"], &[]),
        ("SHELL [\"/s\", \"-x\"]\nENTRYPOINT a \"$b\"", &["/s", "-x", "a \"$b\""], &[]),
        ("LABEL x=y", &["base-entry"], &["base-cmd"]),
        ("CMD [\"c\"]\nCMD [\"d\"]", &["base-entry"], &["d"]),
    ];
    for (instructions, entrypoint, cmd) in table {
        let built = build(&store, &format!("FROM base:1\n{instructions}"), &context).unwrap();
        let config = image(&store, &built).config;
        assert_eq!((config.entrypoint, config.cmd), (words(entrypoint), words(cmd)), "{instructions}");
    }
}

#[test]
fn stages_copy_from_each_other_and_from_images() {
    let store = TestStore::new();
    base(&store);
    let context = Context::new(&[("f", "f")]);
    fs::hard_link(context.path().join("f"), context.path().join("g")).unwrap();
    let built = build(
        &store,
        "ARG BASE=base\nFROM ${BASE}:1 AS files\nCOPY f g /out/\nENV A=stage\n\
         FROM scratch AS never\nCOPY does-not-exist /\n\
         FROM scratch\nCOPY --from=files /out /app\nCOPY --from=0 /owned /lib/n* /x/\nCOPY --from=base:1 /abs/new /y\n\
         COPY --from=files --chown=0:0 /owned /z\nCOPY --from=files /current /cur",
        &context,
    )
    .unwrap();
    let expected = [
        "app/",
        "app/f=f",
        "app/g=f",
        "cur=root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
        "x/",
        "x/new=new",
        "x/owned=owned 4750 7:8",
        "y=new",
        "z=owned 4750",
    ];
    assert_eq!(files(&store, &built), expected);
    assert_eq!(image(&store, &built).config.env.len(), 1, "another stage's variables stay there");
    let first = store.prepare(&built.digest).unwrap().pop().unwrap();
    assert_eq!(
        first.join("app/f").metadata().unwrap().ino(),
        first.join("app/g").metadata().unwrap().ino(),
        "hard links stay hard links"
    );

    let target = BuildOptions { target: Some("FILES".into()), ..options("target") };
    let built = store.build(context.path(), &target, &silent).unwrap();
    assert!(image(&store, &built).config.env.contains(&"A=stage".to_owned()));
    let target = BuildOptions { target: Some("none".into()), ..options("target") };
    assert!(
        store.build(context.path(), &target, &silent).unwrap_err().to_string().contains("no stage \"none\"")
    );
    for (line, expected) in [
        ("COPY --from=none:1 /a /b", "line 2: there is no image none:1 here"),
        ("COPY --from=base:1 /none /b", "line 2: \"/none\" is not in that image"),
    ] {
        let error = build(&store, &format!("FROM scratch\n{line}"), &context).unwrap_err().to_string();
        assert!(error.contains(expected), "{line} gives: {error}");
    }
}

#[test]
fn arguments_are_replaced_where_docker_replaces_them() {
    let store = TestStore::new();
    let context = Context::new(&[]);
    let dockerfile = "ARG GLOBAL=g\nARG GIVEN=default\nFROM scratch\nARG GLOBAL\nARG GIVEN\nARG OWN=o-$GLOBAL\nARG NONE\n\
         ARG TARGETARCH\nENV A=$GLOBAL B=$GIVEN C=$OWN D=[$NONE] E=${TARGETARCH} F=$TARGETOS G=$UNDECLARED\n\
         ENV OWN=env\nARG OWN=late\nLABEL own=$OWN\nENV X=1\nENV X=2 Y=$X\nUSER ${NONE:-user}\nSTOPSIGNAL ${NONE:-9}\n\
         CMD echo $X\nENTRYPOINT [\"$X\"]\nVOLUME /$X\nWORKDIR /$X/$UNDECLARED";
    context.write("Dockerfile", dockerfile.as_bytes());
    let mut options = options("args");
    let given = [("GIVEN", "given"), ("UNDECLARED", "u"), ("HTTP_PROXY", "p")];
    options.build_args = given.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let built = store.build(context.path(), &options, &silent).unwrap();
    assert_eq!(built.warnings, ["build argument UNDECLARED was given, but no ARG takes it"]);
    let config = image(&store, &built).config;
    let architecture = format!("E={}", config.platform.architecture);
    let expected = ["A=g", "B=given", "C=o-g", "D=[]", &architecture, "F=", "G=", "OWN=env", "X=2", "Y=1"];
    assert_eq!(config.env[1..], expected);
    assert_eq!(config.labels["own"], "env");
    assert_eq!((config.user.as_str(), config.stop_signal.as_deref()), ("user", Some("9")));
    assert_eq!(config.cmd, ["/bin/sh", "-c", "echo $X"]);
    assert_eq!(config.entrypoint, ["$X"]);
    assert_eq!((config.volumes, config.working_dir.as_str()), (vec!["/2".into()], "/2"));
}

#[test]
fn a_local_archive_is_extracted_by_add_alone() {
    let store = TestStore::new();
    base(&store);
    let context = Context::new(&[("not-a-tar.gz", "text")]);
    let pax: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,1,5,1"), ("GNU.sparse.size", b"7")];
    let archive = Tar::new()
        .entry(&Header { path: b"./", kind: b'5', mode: 0o700, ..Header::default() }, b"")
        .entry(&Header { path: b"./d", kind: b'5', mode: 0o750, uid: 3, gid: 4, ..Header::default() }, b"")
        .entry(&Header { path: b"d/f", uid: 3, gid: 4, mode: 0o755, ..Header::default() }, b"f")
        .hard_link("h", "d/f")
        .symlink("l", "/anywhere")
        .entry(&Header { path: b"s", pax, ..Header::default() }, b"ab")
        .device("null", b'3', (1, 3))
        .file("lib/x", b"x")
        .finish();
    context.write("a.tar.gz", &gzip(&archive));
    context.write("a.bin", &archive);
    let built =
        build(&store, "FROM scratch\nADD a.tar.gz not-a-tar.gz /x\n", &context).unwrap_err().to_string();
    assert!(built.contains("end with a slash"), "{built}");
    let built = build(&store, "FROM scratch\nADD a.tar.gz not-a-tar.gz /x/", &context).unwrap();
    let extracted = [
        "x/",
        "x/d/ 750 3:4",
        "x/d/f=f 755 3:4",
        "x/h=f 755 3:4",
        "x/l -> /anywhere",
        "x/lib/",
        "x/lib/x=x",
        "x/not-a-tar.gz=text",
        "x/s=a\0\0\0\0b\0",
    ];
    assert_eq!(files(&store, &built), extracted);
    assert_eq!(built.warnings, ["Dockerfile line 2: \"null\" is a device; it is left out"]);
    let built = build(&store, "FROM scratch\nADD --chown=9:9 a.bin /x", &context).unwrap();
    assert!(files(&store, &built).contains(&"x/d/f=f 755 9:9".to_owned()), "{:?}", files(&store, &built));
    let built = build(&store, "FROM scratch\nCOPY a.bin /x", &context).unwrap();
    assert!(files(&store, &built)[0].starts_with("x=./"));
    context.write(
        "own-link.tar",
        &Tar::new().directory("usr/lib").symlink("lib", "usr/lib").file("lib/x", b"x").finish(),
    );
    let built = build(&store, "FROM scratch\nADD own-link.tar /r/", &context).unwrap();
    assert_eq!(files(&store, &built), ["r/", "r/lib -> usr/lib", "r/usr/", "r/usr/lib/", "r/usr/lib/x=x"]);
    // In the base, /lib is a link, and the archive does not say otherwise.
    let built = build(&store, "FROM base:1\nADD a.bin /", &context).unwrap();
    let found = files(&store, &built);
    assert!(
        found.contains(&"usr/lib/x=x".to_owned()) && found.contains(&"lib -> usr/lib".to_owned()),
        "{found:?}"
    );

    #[rustfmt::skip]
    let evil = [
        ("up", Tar::new().file("../x", b"x"), "entry \"../x\" has \"..\""),
        ("link up", Tar::new().hard_link("x", "../../etc/passwd"), "entry \"x\" has \"..\""),
        ("through a link", Tar::new().symlink("l", "/etc").file("l/x", b"x"), "leaves the layer"),
        ("whiteout", Tar::new().file("d/.wh.x", b""), "mean that a file is removed"),
        ("cut off", Tar::new().file("a", b"").block(&Header { path: b"f", ..Header::default() }, 9999), "could not read \"x/f\": unexpected end"),
    ];
    for (name, archive, expected) in evil {
        context.write("evil.tar", &archive.finish());
        let error = match build(&store, "FROM scratch\nADD evil.tar /x/", &context) {
            Err(error) => error.to_string(),
            Ok(built) => panic!("{name} is built: {:?}", files(&store, &built)),
        };
        assert!(error.contains(expected), "{name} gives: {error}");
    }
    context.write("a.tar.xz", b"\xfd7zXZ\0...");
    let error = build(&store, "FROM scratch\nADD a.tar.xz /x/", &context).unwrap_err().to_string();
    assert!(error.contains("compressed with xz"), "{error}");
}

#[test]
fn the_same_input_gives_the_same_digest() {
    let files = [("b", "b"), ("a", "a"), ("d/z", "z"), ("d/y/x", "x")];
    let dockerfile = "FROM scratch\nCOPY . /app/\nWORKDIR /w\nENV A=1 B=2\nLABEL b=1 a=2\nCMD [\"/app/a\"]";
    let touch = |context: &Context, seconds: i64| {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 123 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        for path in ["a", "b", "d/z", "d/y/x", "d/y", "d", "Dockerfile"] {
            let flags = rustix::fs::AtFlags::empty();
            rustix::fs::utimensat(rustix::fs::CWD, context.path().join(path), &times, flags).unwrap();
        }
    };
    let mut digests = Vec::new();
    for (seconds, epoch) in [
        (1_000_000_000, None),
        (1_000_000_000, None),
        (2_000_000_000, Some(1_500_000_000)),
        (1_900_000_000, Some(1_500_000_000)),
    ] {
        let store = TestStore::new();
        let mut reordered = files;
        reordered.rotate_left(digests.len());
        let context = Context::new(&reordered);
        context.write("Dockerfile", dockerfile.as_bytes());
        touch(&context, seconds);
        let options = BuildOptions { source_date_epoch: epoch, ..options("same") };
        let built = store.build(context.path(), &options, &silent).unwrap();
        let created = image(&store, &built).config.created.unwrap();
        let root = store.prepare(&built.digest).unwrap().pop().unwrap();
        let expected = epoch.unwrap_or(seconds);
        assert_eq!(root.join("app/d/z").metadata().unwrap().mtime(), expected);
        assert_eq!(gantry_types::Timestamp::parse(&created).unwrap().millis(), expected * 1000);
        digests.push(built.digest);
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[2], digests[3], "with an epoch, the times of a fresh checkout do not count");
    assert_ne!(digests[0], digests[2]);
}

#[test]
fn what_a_dockerfile_gets_wrong_is_told_with_its_line() {
    let store = TestStore::new();
    let context = Context::new(&[]);
    #[rustfmt::skip]
    let table = [
        ("", "the Dockerfile has no FROM"), ("FROM scratch\n\nFOO", "line 3: unknown instruction FOO"),
        ("FROM scratch\nEXPOSE http", "line 2: \"http\" is not a port"), ("FROM scratch\nEXPOSE 9-8", "is not a port"),
        ("FROM scratch\nEXPOSE 1:2", "is not a port"), ("FROM scratch\nSTOPSIGNAL SIGNO", "line 2: \"SIGNO\" is not a signal"),
        ("FROM scratch\nENV A=\"${B?no B}\"", "line 2: variable B: no B"), ("FROM scratch\nVOLUME [\"\"]", "a volume needs a path"),
        ("FROM scratch\nWORKDIR $NONE", "line 2: the directory is empty"),
        ("FROM scratch\nCOPY --chown=: a b", "--chown needs a user"),
    ];
    for (dockerfile, expected) in table {
        let error = build(&store, dockerfile, &context).expect_err(dockerfile).to_string();
        assert!(error.contains(expected), "{dockerfile:?} gives: {error}");
    }
    context.write("Dockerfile", b"FROM \xff");
    assert!(
        store
            .build(context.path(), &options("x"), &silent)
            .unwrap_err()
            .to_string()
            .contains("not text in UTF-8")
    );
    fs::remove_file(context.path().join("Dockerfile")).unwrap();
    let error = store.build(context.path(), &options("x"), &silent).unwrap_err().to_string();
    assert!(error.contains("could not read") && error.contains("Dockerfile"), "{error}");
    let error = store.build(Path::new("/nonexistent"), &options("x"), &silent).unwrap_err().to_string();
    assert!(error.contains("is not a directory"), "{error}");
    assert!(store.build(context.path(), &options("Bad Tag"), &silent).is_err());
}

#[test]
fn without_another_builder_run_says_what_to_install() {
    let store = TestStore::new();
    let context = Context::new(&[]);
    let error = build(&store, "FROM scratch\n\nRUN make", &context).unwrap_err().to_string();
    assert!(error.contains("line 3: RUN runs programs"), "{error}");
    assert!(error.contains("Install buildah, podman or docker"), "{error}");
    let error = build(&store, "FROM scratch\nONBUILD COPY a b", &context).unwrap_err().to_string();
    assert!(error.contains("line 2: ONBUILD"), "{error}");
    // In a stage that is not needed, it does not matter.
    assert!(build(&store, "FROM scratch AS x\nRUN make\nFROM scratch\nCMD [\"a\"]", &context).is_ok());
}

/// A program that does what the script says, in a directory to look for it.
fn fake(place: &Path, name: &str, script: &str) -> BuildOptions {
    let program = place.join(name);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    BuildOptions { builder_path: Some(place.into()), ..options("built") }
}

#[test]
fn another_builder_that_fails_or_hangs_is_told() {
    let context = Context::new(&[("Dockerfile", "FROM scratch\nRUN make")]);
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { external_build_wait: std::time::Duration::from_millis(300), ..Limits::default() };
    let store = Store::open_with(place.path().join("store"), limits).unwrap();

    let docker = fake(place.path(), "docker", "echo no daemon >&2; exit 1");
    let error = store.build(context.path(), &docker, &silent).unwrap_err().to_string();
    assert!(error.contains("docker is installed, but its daemon does not answer"), "{error}");

    let pid = place.path().join("pid");
    let hangs = format!(
        "[ \"$1\" = build ] || exit 0\nsleep 1000 &\necho $! > {}\necho working\nwait",
        pid.display()
    );
    let podman = fake(place.path(), "podman", &hangs);
    let lines = std::sync::Mutex::new(Vec::new());
    let error = store
        .build(context.path(), &podman, &|progress| {
            if let Progress::Line(line) = progress {
                lines.lock().unwrap().push(line.to_owned());
            }
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("podman did not end within"), "{error}");
    assert!(lines.into_inner().unwrap().contains(&"working".to_owned()));
    let pid = fs::read_to_string(pid).unwrap();
    // What it started has ended with it: gone, or waiting to be collected by whoever adopted it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "it lives on: {stat}");
        std::thread::yield_now();
    }

    let buildah = fake(place.path(), "buildah", "[ \"$1\" = build ] && echo compiling && exit 7");
    let error = store.build(context.path(), &buildah, &silent).unwrap_err().to_string();
    assert!(error.contains("buildah failed with exit status: 7"), "{error}");
    let buildah =
        fake(place.path(), "buildah", "[ \"$1\" = push ] && echo no archive > \"${4#oci-archive:}\"\nexit 0");
    let error = store.build(context.path(), &buildah, &silent).unwrap_err().to_string();
    assert!(error.contains("what buildah built cannot be loaded: this is not an image archive"), "{error}");
    assert_eq!(crate::content(&place.path().join("store")), Vec::<String>::new());
}

#[test]
fn a_dockerfile_that_grows_without_end_is_stopped() {
    let store = TestStore::new();
    let context = Context::new(&[]);
    let doubling = format!("FROM scratch\nENV A=xxxxxxxx{}", "\nENV A=$A$A".repeat(60));
    let error = build(&store, &doubling, &context).unwrap_err().to_string();
    assert!(error.contains("bytes when its variables are replaced"), "{error}");
    let labels: String = (0..100).map(|number| format!("\nLABEL l{number}=$A")).collect();
    let growing = format!("FROM scratch\nENV A={}{labels}", "x".repeat(100_000));
    let error = build(&store, &growing, &context).unwrap_err().to_string();
    assert!(error.contains("configuration becomes too large"), "{error}");
}
