//! The bytes themselves: uploads in blocks, downloads in ranges, as the clients of Azure's blob storage do them.
//!
//! Rules: <https://learn.microsoft.com/rest/api/storageservices/put-block>, `put-block-list`, `put-blob`, `get-blob`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base::Digest;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};

use super::service::{Answer, Refusal, Service, full, same};
use super::{base64url, secret};

/// As much as GitHub keeps of caches for a repository; more than that in one piece is a mistake.
pub(super) const BLOB_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;
/// Fifty thousand ids of blocks fit.
const BLOCK_LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
const READ_BYTES: usize = 256 * 1024;

/// What was handed out: places to write to and files to read, each with its signature.
#[derive(Debug)]
pub(super) struct Blobs {
    folder: PathBuf,
    uploads: BTreeMap<String, Upload>,
    downloads: BTreeMap<String, Download>,
}

#[derive(Debug, Clone)]
struct Upload {
    signature: String,
    folder: PathBuf,
    committed: bool,
}

#[derive(Debug, Clone)]
struct Download {
    signature: String,
    file: PathBuf,
    content_type: String,
    /// How the file is to be called where it is saved.
    name: String,
}

impl Blobs {
    pub fn new(folder: PathBuf) -> Blobs {
        Blobs { folder, uploads: BTreeMap::new(), downloads: BTreeMap::new() }
    }

    /// A place to upload to: its id and signature.
    pub fn upload(&mut self) -> io::Result<(String, String)> {
        let (id, signature) = (base64url(&secret()?), base64url(&secret()?));
        let folder = self.folder.join(&id);
        fs::create_dir_all(&folder)?;
        self.uploads.insert(id.clone(), Upload { signature: signature.clone(), folder, committed: false });
        Ok((id, signature))
    }

    /// The whole of an upload, once it is committed; nobody writes to it any more.
    pub fn take(&mut self, id: &str) -> Option<PathBuf> {
        let upload = self.uploads.remove(id)?;
        upload.committed.then(|| upload.folder.join(WHOLE))
    }

    /// A right to read the file: its id and signature.
    pub fn download(&mut self, file: PathBuf, content_type: &str, name: &str) -> io::Result<(String, String)> {
        let (id, signature) = (base64url(&secret()?), base64url(&secret()?));
        let download = Download { signature: signature.clone(), file, content_type: content_type.to_string(), name: name.to_string() };
        self.downloads.insert(id.clone(), download);
        Ok((id, signature))
    }

    /// Where a file may be made that is read and then forgotten.
    pub fn scratch(&self) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        Ok(self.folder.join(base64url(&secret()?)))
    }
}

/// The file that the blocks become; no block is called so.
const WHOLE: &str = "whole";

impl Service {
    /// `upload/ID` and `download/ID`, with `sig` in the query.
    pub async fn blob(&self, rest: &str, request: Request<Incoming>) -> Answer {
        let query = query(request.uri().query().unwrap_or_default());
        let signature = query.get("sig").map_or("", String::as_str);
        let found = match rest.split_once('/') {
            Some(("upload", id)) => self.blobs().uploads.get(id).cloned().filter(|it| signed(&it.signature, signature)).map(Ok),
            Some(("download", id)) => {
                let id = id.split('/').next().unwrap_or_default();
                self.blobs().downloads.get(id).cloned().filter(|it| signed(&it.signature, signature)).map(Err)
            }
            _ => None,
        };
        let id = rest.split('/').nth(1).unwrap_or_default();
        match found {
            None => refused(StatusCode::FORBIDDEN, "AuthenticationFailed", "there is no such blob, or the signature is not its own"),
            Some(Ok(upload)) => match self.write(id, &upload, &query, request).await {
                Ok(()) => created(),
                Err((status, why)) => refused(status, "InvalidBlobOrBlock", &why),
            },
            Some(Err(download)) => {
                let sent = read(&download, &request);
                sent.unwrap_or_else(|error| refused(StatusCode::NOT_FOUND, "BlobNotFound", &error.to_string()))
            }
        }
    }

    async fn write(
        &self,
        id: &str,
        upload: &Upload,
        query: &BTreeMap<String, String>,
        request: Request<Incoming>,
    ) -> Result<(), (StatusCode, String)> {
        if request.method() != Method::PUT {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "an upload is `PUT`".to_string()));
        }
        let failed = |error: io::Error| (StatusCode::INSUFFICIENT_STORAGE, format!("the upload can't be written: {error}"));
        match query.get("comp").map(String::as_str) {
            Some("block") => {
                let block = query.get("blockid").filter(|id| !id.is_empty());
                let block = block.ok_or_else(|| (StatusCode::BAD_REQUEST, "`blockid` is missing".to_string()))?;
                receive(&upload.folder.join(block_file(block)), request.into_body()).await.map_err(failed)
            }
            Some("blocklist") => {
                let body = Limited::new(request.into_body(), BLOCK_LIST_BYTES_MAX).collect().await;
                let body = body.map_err(|error| (StatusCode::BAD_REQUEST, format!("the list of blocks can't be read: {error}")))?;
                let blocks = block_list(&body.to_bytes()).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
                join(&upload.folder, &blocks)?;
                self.commit(id);
                Ok(())
            }
            None => {
                receive(&upload.folder.join(WHOLE), request.into_body()).await.map_err(failed)?;
                self.commit(id);
                Ok(())
            }
            Some(other) => Err((StatusCode::BAD_REQUEST, format!("`comp={other}` is not known here"))),
        }
    }

    fn commit(&self, id: &str) {
        if let Some(upload) = self.blobs().uploads.get_mut(id) {
            upload.committed = true;
        }
    }
}

fn signed(expected: &str, given: &str) -> bool {
    same(expected.as_bytes(), given.as_bytes())
}

/// Ids are anything in base64; a file's name is not.
fn block_file(id: &str) -> String {
    Digest::of(id.as_bytes()).hex()
}

async fn receive(file: &Path, mut body: Incoming) -> io::Result<()> {
    let mut out = File::create(file)?;
    let mut count = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        count += data.len() as u64;
        if count > BLOB_BYTES_MAX {
            return Err(io::Error::other("it is larger than 10 GiB"));
        }
        out.write_all(&data)?;
    }
    Ok(())
}

/// The ids in the order of the list, whichever state they are said to be in.
fn block_list(xml: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(xml).map_err(|error| format!("the list of blocks is no text: {error}"))?;
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut ids, mut inside) = (Vec::new(), false);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Start(tag)) => inside = matches!(tag.name().as_ref(), "Latest" | "Committed" | "Uncommitted"),
            Ok(quick_xml::events::Event::End(_)) => inside = false,
            Ok(quick_xml::events::Event::Text(text)) if inside => {
                let id: &str = text.as_ref();
                ids.push(id.trim().to_string());
            }
            Ok(quick_xml::events::Event::Eof) => return Ok(ids),
            Ok(_) => {}
            Err(error) => return Err(format!("the list of blocks is no XML: {error}")),
        }
    }
}

fn join(folder: &Path, blocks: &[String]) -> Result<(), (StatusCode, String)> {
    let failed = |error: io::Error| (StatusCode::INSUFFICIENT_STORAGE, format!("the blocks can't be put together: {error}"));
    let mut whole = File::create(folder.join(WHOLE)).map_err(failed)?;
    for block in blocks {
        let path = folder.join(block_file(block));
        let mut part = File::open(&path).map_err(|_| (StatusCode::BAD_REQUEST, format!("the block `{block}` was not uploaded")))?;
        io::copy(&mut part, &mut whole).map_err(failed)?;
        // A list may name a block twice; the whole of it is what is kept.
    }
    for block in blocks {
        let _ = fs::remove_file(folder.join(block_file(block)));
    }
    Ok(())
}

fn read(download: &Download, request: &Request<Incoming>) -> io::Result<Answer> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(refused(StatusCode::METHOD_NOT_ALLOWED, "UnsupportedHttpVerb", "a download is `GET` or `HEAD`"));
    }
    let mut file = File::open(&download.file)?;
    let size = file.metadata()?.len();
    let asked = ["x-ms-range", "range"].iter().find_map(|name| request.headers().get(*name)).and_then(|value| value.to_str().ok());
    let range = match asked.map(|text| range(text, size)) {
        None => None,
        Some(Some(range)) => Some(range),
        Some(None) => {
            let mut answer = refused(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", "the range lies outside of the blob");
            let value = format!("bytes */{size}").parse().expect("digits are a valid header");
            answer.headers_mut().insert(header::CONTENT_RANGE, value);
            return Ok(answer);
        }
    };
    let (first, count) = range.map_or((0, size), |(first, last)| (first, last - first + 1));
    file.seek(SeekFrom::Start(first))?;
    let name: String = download.name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let mut answer = Response::builder()
        .status(if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK })
        .header(header::CONTENT_TYPE, &download.content_type)
        .header(header::CONTENT_LENGTH, count)
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))
        .header(header::ACCEPT_RANGES, "bytes")
        .header("x-ms-blob-type", "BlockBlob");
    if range.is_some() {
        answer = answer.header(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", first + count - 1));
    }
    let body = if request.method() == Method::HEAD { full(Bytes::new()) } else { StreamBody::new(pieces(file, count)).boxed() };
    Ok(answer.body(body).expect("the parts are valid"))
}

/// Small reads from the page cache, between which other requests are answered.
fn pieces(file: File, count: u64) -> impl futures_util::Stream<Item = io::Result<Frame<Bytes>>> + Send + Sync {
    futures_util::stream::iter(Pieces { file, left: count })
}

struct Pieces {
    file: File,
    left: u64,
}

impl Iterator for Pieces {
    type Item = io::Result<Frame<Bytes>>;

    fn next(&mut self) -> Option<Self::Item> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(READ_BYTES);
        if wanted == 0 {
            return None;
        }
        let mut buffer = vec![0; wanted];
        match self.file.read_exact(&mut buffer) {
            Ok(()) => {
                self.left -= wanted as u64;
                Some(Ok(Frame::data(buffer.into())))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

/// `bytes=A-B`, `bytes=A-`, `bytes=-N` as first and last place; nothing when no byte of the blob is meant.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", count) => (size.checked_sub(count.parse::<u64>().ok()?.min(size))?, size.checked_sub(1)?),
        (first, "") => (first.parse().ok()?, size.checked_sub(1)?),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(size.checked_sub(1)?)),
    };
    (first <= last && first < size).then_some((first, last))
}

fn created() -> Answer {
    let answer = Response::builder().status(StatusCode::CREATED).header(header::ETAG, "\"1\"").header("x-ms-version", "2025-01-05");
    answer.body(full(Bytes::new())).expect("the parts are valid")
}

fn refused(status: StatusCode, code: &str, why: &str) -> Answer {
    let why = why.replace('&', "&amp;").replace('<', "&lt;");
    let xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{why}</Message></Error>");
    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/xml").header("x-ms-error-code", code);
    answer.body(full(xml)).expect("the parts are valid")
}

pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, pair) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where an upload that is asked for was committed.
pub(super) fn whole(service: &Service, id: Option<&String>) -> Result<PathBuf, Refusal> {
    let file = id.and_then(|id| service.blobs().take(id));
    file.ok_or_else(|| Refusal::new("not_found", "nothing was uploaded under that name by this job, or its last block list is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end_and_refused_behind_it() {
        let cases = [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=8-100", Some((8, 9))),
            ("bytes=4-", Some((4, 9))),
            ("bytes=-3", Some((7, 9))),
            ("bytes=-30", Some((0, 9))),
            ("bytes=10-", None),
            ("bytes=5-4", None),
            ("lines=1-2", None),
            ("bytes=a-b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(range(text, 10), expected, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), None);
    }

    #[test]
    fn a_block_list_is_read_in_order_and_nonsense_is_refused() {
        let xml = br#"<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>YQ==</Latest><Uncommitted>Yg==</Uncommitted></BlockList>"#;
        assert_eq!(block_list(xml).unwrap(), ["YQ==", "Yg=="]);
        assert!(block_list(b"<BlockList><Latest>a</Wrong>").is_err());
    }

    #[test]
    fn what_is_escaped_in_a_query_is_read() {
        let read = query("comp=block&blockid=YQ%3D%3D&sig=a-b_c&odd=%zz");
        assert_eq!((read["blockid"].as_str(), read["sig"].as_str(), read["odd"].as_str()), ("YQ==", "a-b_c", "%zz"));
    }
}
