//! Makes archives, also such as no program would make.

use std::io::Write;

use gantry_images::Digest;
use serde_json::{Value, json};

/// A tar archive under construction: every field as it is given.
#[derive(Clone, Default)]
pub(crate) struct Tar(Vec<u8>);

#[derive(Clone)]
pub(crate) struct Header<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
    pub(crate) pax: &'a [(&'a str, &'a [u8])],
}

impl Default for Header<'_> {
    fn default() -> Self {
        Self {
            path: b"",
            kind: b'0',
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1_700_000_000,
            device: (0, 0),
            pax: &[],
        }
    }
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }
    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(&Header { path: path.as_bytes(), ..Header::default() }, content)
    }
    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(&Header { path: path.as_bytes(), kind: b'5', mode: 0o755, ..Header::default() }, b"")
    }
    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        let header = Header {
            path: path.as_bytes(),
            kind: b'2',
            link: target.as_bytes(),
            mode: 0o777,
            ..Header::default()
        };
        self.entry(&header, b"")
    }
    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        let header =
            Header { path: path.as_bytes(), kind: b'1', link: target.as_bytes(), ..Header::default() };
        self.entry(&header, b"")
    }
    pub(crate) fn device(self, path: &str, kind: u8, device: (u32, u32)) -> Self {
        self.entry(&Header { path: path.as_bytes(), kind, device, ..Header::default() }, b"")
    }

    pub(crate) fn entry(mut self, header: &Header<'_>, content: &[u8]) -> Self {
        let mut pax = header.pax.to_vec();
        if header.path.len() > 100 {
            pax.push(("path", header.path));
        }
        if header.link.len() > 100 {
            pax.push(("linkpath", header.link));
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            self = self.block(&Header { path: b"pax", kind: b'x', ..Header::default() }, records.len());
            self.content(&records);
        }
        self = self.block(header, content.len());
        self.content(content);
        self
    }

    /// A header alone.
    pub(crate) fn block(mut self, header: &Header<'_>, size: usize) -> Self {
        let mut block = [0; 512];
        let name = &header.path[..header.path.len().min(100)];
        block[..name.len()].copy_from_slice(name);
        let link = &header.link[..header.link.len().min(100)];
        block[157..157 + link.len()].copy_from_slice(link);
        block[156] = header.kind;
        let mut field = |at: usize, width: usize, value: u64| {
            block[at..at + width].copy_from_slice(format!("{value:0width$o}").as_bytes());
        };
        field(100, 7, header.mode.into());
        field(108, 7, u64::from(header.uid) & 0o7777777);
        field(116, 7, u64::from(header.gid) & 0o7777777);
        field(124, 11, size as u64);
        field(136, 11, header.mtime);
        field(329, 7, header.device.0.into());
        field(337, 7, header.device.1.into());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(block);
        self
    }

    fn content(&mut self, content: &[u8]) {
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest + 1..).find(|length| length.to_string().len() + rest == *length).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// A configuration that has the given layers.
pub(crate) fn config(diff_ids: &[Digest]) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/app"], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// What `docker save` wrote before it knew OCI: layers by path, and a manifest.json at the end.
pub(crate) fn docker_archive(tags: &[&str], layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = config(&diff_ids).to_string();
    let mut archive = Tar::new();
    let mut paths = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        paths.push(format!("{number}/layer.tar"));
        archive = archive.directory(&format!("{number}/")).file(&paths[number], layer);
    }
    let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": paths}]).to_string();
    archive.file("config.json", config.as_bytes()).file("manifest.json", manifest.as_bytes()).finish()
}

/// An OCI layout in memory, by path.
#[derive(Clone, Default)]
pub(crate) struct Layout {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) manifests: Vec<Value>,
}

impl Layout {
    pub(crate) fn blob(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let digest = Digest::of(&content);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": content.len()});
        self.files.push((format!("blobs/sha256/{}", digest.hex()), content));
        descriptor
    }
    /// Adds an image of already compressed layers and gives its descriptor.
    pub(crate) fn image(&mut self, layers: &[(&str, Vec<u8>, Digest)]) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|(_, _, diff_id)| *diff_id).collect();
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", config(&diff_ids).to_string().into());
        let layers: Vec<_> =
            layers.iter().map(|(media_type, content, _)| self.blob(media_type, content.clone())).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into())
    }
    pub(crate) fn name(&mut self, mut descriptor: Value, key: &str, name: &str) {
        descriptor["annotations"] = json!({key: name});
        self.manifests.push(descriptor);
    }
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests}).to_string();
        let mut files = self.files.clone();
        files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files.push(("index.json".into(), index.into()));
        files
    }
    pub(crate) fn archive(&self) -> Vec<u8> {
        let files = self.files();
        files.iter().fold(Tar::new(), |archive, (path, content)| archive.file(path, content)).finish()
    }
}

pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
