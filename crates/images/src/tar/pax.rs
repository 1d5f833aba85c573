//! pax extended headers: records of the form `LENGTH KEY=VALUE\n`, where the value may hold anything, newlines too.

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the records of one header say. A record with an empty value takes back what stands in the old header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// GNU's sparse files in pax form: versions 0.0, 0.1 and 1.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Offsets and lengths in turn.
    pub(super) map: Vec<u64>,
    pub(super) map_given: bool,
}

pub(super) fn parse(mut records: &[u8]) -> Result<Pax, &'static str> {
    const MALFORMED: &str = "a pax record is not of the form LENGTH KEY=VALUE";
    let mut pax = Pax::default();
    while !records.is_empty() {
        let blank = records.iter().take(20).position(|byte| *byte == b' ').ok_or(MALFORMED)?;
        let length = decimal(&records[..blank]).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(MALFORMED)?;
        if length <= blank + 1 || length > records.len() || records[length - 1] != b'\n' {
            return Err(MALFORMED);
        }
        let record = &records[blank + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
        pax.take(&record[..equals], &record[equals + 1..])?;
        records = &records[length..];
    }
    Ok(pax)
}

impl Pax {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = whole(value)?,
            b"uid" => self.uid = whole(value)?,
            b"gid" => self.gid = whole(value)?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(time(value)?) },
            b"GNU.sparse.major" => self.sparse.major = whole(value)?,
            b"GNU.sparse.minor" => self.sparse.minor = whole(value)?,
            b"GNU.sparse.name" => self.sparse.name = name(value)?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.real_size = whole(value)?,
            b"GNU.sparse.numblocks" => self.sparse.map_given = true,
            b"GNU.sparse.offset" if self.sparse.map.len().is_multiple_of(2) => {
                self.sparse.map.push(decimal(value).ok_or(SPARSE)?);
            }
            b"GNU.sparse.numbytes" if !self.sparse.map.len().is_multiple_of(2) => {
                self.sparse.map.push(decimal(value).ok_or(SPARSE)?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => return Err(SPARSE),
            b"GNU.sparse.map" => {
                self.sparse.map_given = true;
                self.sparse.map.clear();
                for number in value.split(|byte| *byte == b',').filter(|text| !text.is_empty()) {
                    self.sparse.map.push(decimal(number).ok_or(SPARSE)?);
                }
            }
            _ => {
                if let Some(xattr) = key.strip_prefix(XATTR) {
                    if xattr.is_empty() || xattr.contains(&0) {
                        return Err("an extended attribute has no proper name");
                    }
                    self.xattrs.retain(|(other, _)| other != xattr);
                    if !value.is_empty() {
                        self.xattrs.push((xattr.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

const SPARSE: &str = "the map of a sparse file is not pairs of numbers";

pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn whole(value: &[u8]) -> Result<Option<u64>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    decimal(value).map(Some).ok_or("a number in a pax record is not one")
}

fn name(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) {
        return Err("a name in a pax record holds NUL");
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

/// Seconds with an optional fraction, of which nanoseconds are kept; negative before 1970.
fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    const MALFORMED: &str = "a time in a pax record is not one";
    let text = std::str::from_utf8(value).map_err(|_| MALFORMED)?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    let seconds =
        decimal(seconds.as_bytes()).and_then(|seconds| i64::try_from(seconds).ok()).ok_or(MALFORMED)?;
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    Ok(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}
