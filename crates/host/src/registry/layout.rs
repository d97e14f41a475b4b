//! A folder with an OCI image layout, and signatures in it where `cosign save` keeps them and `cosign verify --local-image` looks.
//!
//! cosign knows one image a folder: the entry of `index.json` that is marked with its kind, beside those of its signatures.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base::Digest;
use gate::attest::oci::{Descriptor, INDEX, MANIFEST, Written};
use serde_json::{Value, json};

use super::{Held, Keeper, Kind, MANIFEST_MAX_BYTES, RegistryError};

/// Where cosign marks what an entry is.
const KIND: &str = "kind";
const IMAGE: &str = "dev.cosignproject.cosign/image";
const IMAGE_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
/// What buildah, podman and skopeo tell an image's tag by.
const TAG: &str = "org.opencontainers.image.ref.name";
/// Of a folder with more files nobody looks for what refers to an image.
const FILES_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Layout {
    path: PathBuf,
    /// The entry of the image in `index.json`, and its descriptor.
    entry: usize,
    image: Descriptor,
}

impl Layout {
    pub fn open(path: PathBuf, tag: Option<String>) -> Result<Layout, RegistryError> {
        let entries = entries(&index(&path)?, &path)?;
        let is_image = |entry: &Value| !matches!(mark(entry), Some(kind) if kind != IMAGE && kind != IMAGE_INDEX);
        let images: Vec<(usize, &Value)> = entries.iter().enumerate().filter(|(_, entry)| is_image(entry)).collect();
        let of_tag = |entry: &Value| entry["annotations"][TAG].as_str().map(str::to_string);
        let marked: Vec<_> = images.iter().filter(|(_, entry)| mark(entry).is_some()).copied().collect();
        let meant: Vec<_> = match &tag {
            Some(tag) => images.iter().filter(|(_, entry)| of_tag(entry).as_ref() == Some(tag)).copied().collect(),
            None if !marked.is_empty() => marked,
            None => images.clone(),
        };
        let there = || match images.iter().filter_map(|(_, entry)| of_tag(entry)).collect::<Vec<_>>() {
            tags if tags.is_empty() => String::new(),
            tags => format!("; there are `{}`", tags.join("`, `")),
        };
        match (meant.as_slice(), tag) {
            ([(entry, value)], _) => {
                let image = Descriptor::read(value).map_err(|why| file(&path.join("index.json"), why))?;
                Ok(Layout { path, entry: *entry, image })
            }
            ([], Some(tag)) => Err(RegistryError::NotFound(format!("`{}` has no image `{tag}`{}", path.display(), there()))),
            ([], None) => Err(RegistryError::NotFound(format!("`{}` has no image", path.display()))),
            _ => {
                let why = format!("it has several images, and one is meant{}", there());
                Err(RegistryError::Reference { reference: format!("oci:{}", path.display()), why })
            }
        }
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    /// A file of the layout, and no more of it than is asked for.
    fn read(&self, digest: &Digest, limit: u64) -> Result<Held, RegistryError> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        match fs::File::open(&path).and_then(|open| open.take(limit + 1).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 > limit => Ok(Err(format!("{digest} has more than {limit} bytes"))),
            Ok(_) => Ok(Ok(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Err(format!("the folder has no {digest}"))),
            Err(error) => Err(file(&path, error.to_string())),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
        let failed = |error: std::io::Error| file(path, error.to_string());
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).map_err(failed)?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        temporary.write_all(bytes).map_err(failed)?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        temporary.as_file().set_permissions(permissions).map_err(failed)?;
        temporary.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

impl Keeper for Layout {
    fn image(&self) -> Result<Digest, RegistryError> {
        let wrong = |why| self.wrong(why);
        let manifest = self.read(&self.image.digest, MANIFEST_MAX_BYTES)?.map_err(wrong)?;
        self.image.check(&manifest).map_err(wrong)?;
        Ok(self.image.digest)
    }

    /// A folder has no name that means anything elsewhere.
    fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "image".to_string(), |name| name.to_string_lossy().into_owned())
    }

    fn kept(&self, _: &Digest, kind: Kind) -> Result<Option<(String, Vec<u8>)>, RegistryError> {
        let entries = entries(&index(&self.path)?, &self.path)?;
        let Some(entry) = entries.iter().find(|entry| mark(entry) == Some(marked(kind))) else { return Ok(None) };
        let wrong = |why| self.wrong(why);
        let descriptor = Descriptor::read(entry).map_err(wrong)?;
        let manifest = self.read(&descriptor.digest, MANIFEST_MAX_BYTES)?.map_err(wrong)?;
        descriptor.check(&manifest).map_err(wrong)?;
        Ok(Some((format!("the entry `{}`", marked(kind)), manifest)))
    }

    /// As cosign: whichever file is a manifest that says so, for no list names them.
    fn referrers(&self, image: &Digest) -> Result<Vec<Result<Descriptor, String>>, RegistryError> {
        let folder = self.path.join("blobs/sha256");
        let failed = |error: std::io::Error| file(&folder, error.to_string());
        let mut found = Vec::new();
        for (count, entry) in fs::read_dir(&folder).map_err(failed)?.enumerate() {
            if count == FILES_MAX {
                return Err(file(&folder, format!("it has more than {FILES_MAX} files, and what refers to the image is among them")));
            }
            let entry = entry.map_err(failed)?;
            if !entry.metadata().is_ok_and(|it| it.is_file() && it.len() <= MANIFEST_MAX_BYTES) {
                continue;
            }
            let bytes = fs::read(entry.path()).map_err(failed)?;
            let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let is_named = Digest::of(&bytes).hex() == entry.file_name().to_string_lossy();
            if is_named && value["subject"]["digest"].as_str() == Some(&image.to_string()) {
                found.push(Descriptor::of(MANIFEST, &bytes));
            }
        }
        found.sort_by_key(|descriptor| descriptor.digest);
        Ok(found.into_iter().map(Ok).collect())
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Held, RegistryError> {
        self.read(&descriptor.digest, MANIFEST_MAX_BYTES)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Held, RegistryError> {
        self.read(&descriptor.digest, descriptor.size)
    }

    fn wrong(&self, why: String) -> RegistryError {
        file(&self.path, why)
    }

    fn keep(&self, _: &Digest, kind: Kind, layer: &[u8], written: &Written) -> Result<String, RegistryError> {
        let path = self.path.join("index.json");
        let mut index = index(&self.path)?;
        let all = index["manifests"].as_array_mut().ok_or_else(|| file(&path, "`manifests` is missing".to_string()))?;
        let is_other = |(at, entry): (usize, &Value)| at != self.entry && matches!(mark(entry), Some(IMAGE | IMAGE_INDEX));
        if all.iter().enumerate().any(is_other) {
            let why = "signatures in it are of another image, and cosign knows one image a folder; copy this one to a folder of its own";
            return Err(file(&self.path, why.to_string()));
        }
        let is_index = self.image.media_type == INDEX || self.image.media_type.ends_with("manifest.list.v2+json");
        let image = all.get_mut(self.entry).and_then(Value::as_object_mut);
        let image = image.ok_or_else(|| file(&path, "its image is gone".to_string()))?;
        let annotations = image.entry("annotations").or_insert_with(|| json!({})).as_object_mut();
        let annotations = annotations.ok_or_else(|| file(&path, "the `annotations` of its image are no object".to_string()))?;
        annotations.insert(KIND.to_string(), json!(if is_index { IMAGE_INDEX } else { IMAGE }));
        all.retain(|entry| mark(entry) != Some(marked(kind)));
        all.push(Descriptor::of(MANIFEST, &written.manifest).annotated(KIND, marked(kind)).to_json());
        for blob in [layer, &written.config, &written.manifest] {
            self.write(&self.blob_path(&Digest::of(blob)), blob)?;
        }
        // Last, so that it names nothing that isn't there.
        self.write(&path, index.to_string().as_bytes())?;
        Ok(format!("the entry `{}`", marked(kind)))
    }
}

fn marked(kind: Kind) -> &'static str {
    match kind {
        Kind::Signatures => "dev.cosignproject.cosign/sigs",
        Kind::Attestations => "dev.cosignproject.cosign/atts",
    }
}

fn mark(entry: &Value) -> Option<&str> {
    entry["annotations"][KIND].as_str()
}

fn index(path: &Path) -> Result<Value, RegistryError> {
    let index = path.join("index.json");
    let read = fs::File::open(&index).and_then(|open| {
        let mut text = Vec::new();
        open.take(MANIFEST_MAX_BYTES).read_to_end(&mut text).map(|_| text)
    });
    match read {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| file(&index, format!("it is no JSON: {error}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(RegistryError::NotFound(format!("`{}` is no OCI image layout: it has no `index.json`", path.display())))
        }
        Err(error) => Err(file(&index, error.to_string())),
    }
}

fn entries(index: &Value, path: &Path) -> Result<Vec<Value>, RegistryError> {
    index["manifests"].as_array().cloned().ok_or_else(|| file(&path.join("index.json"), "`manifests` is missing".to_string()))
}

fn file(path: &Path, why: String) -> RegistryError {
    RegistryError::File { path: path.to_path_buf(), why }
}
