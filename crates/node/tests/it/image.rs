//! The image of the tests: the end-to-end tests' program in an empty root.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use gantry_images::{BuildOptions, Store, silent};

/// Builds `page:latest` in a store of its own.
pub(crate) fn build(images_dir: &Path, scratch: &Path) {
    let context = scratch.join("context");
    fs::create_dir_all(&context).unwrap();
    fs::copy(program(), context.join("app")).unwrap();
    fs::write(context.join("passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
        .unwrap();
    let dockerfile = "FROM scratch\nCOPY app /app\nCOPY app /bin/sh\nCOPY passwd /etc/passwd\n\
                      ENV FROM_IMAGE=1 BOTH=image\nENTRYPOINT [\"/app\"]\nCMD [\"serve\", \"8000\"]\n";
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let options = BuildOptions { tags: vec!["page".to_owned()], ..BuildOptions::default() };
    Store::open(images_dir).unwrap().build(&context, &options, &silent).unwrap();
    fs::remove_dir_all(&context).unwrap();
}

/// The program, linked statically, compiled once per content.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/app/main.rs");
        let text = fs::read(&source).unwrap();
        let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("app-{hash:016x}"));
        if !path.exists() {
            let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
            let fresh = path.with_extension(std::process::id().to_string());
            let words = "--edition 2024 -O -C target-feature=+crt-static -C panic=abort -C strip=symbols -o";
            let output = Command::new(compiler)
                .args(words.split(' '))
                .arg(&fresh)
                .arg(&source)
                .output()
                .expect("rustc compiles the tests' program");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::rename(&fresh, &path).unwrap();
        }
        path
    })
}
