//! Images where they are kept, in a registry or in a folder, and what lies beside them and speaks of them.
//!
//! Registries are spoken to by the installed `curl`, as everybody else outside is: it has TLS with the certificates that this machine
//! trusts and knows its proxies. Of the protocol nine requests are needed, which is less than what a client of its own would bring:
//! a second implementation of TLS. A tool such as skopeo would have to be installed, and shows nothing of referrers.

mod challenge;
mod credentials;
mod http;
mod layout;
mod reference;
mod remote;

use std::path::PathBuf;

use base::Digest;
use gate::attest::oci::{self, Descriptor, Written};
use gate::attest::{Beside, Content};

pub use reference::{Pin, Reference};

use self::layout::Layout;
use self::remote::Remote;

/// More than any registry has to take of a manifest.
const MANIFEST_MAX_BYTES: u64 = 4 << 20;

/// So often is asked for what lies beside an image: everybody who may push could lay more.
const BESIDE_MAX: usize = 1000;

/// A bill of materials may be large; all that lies beside an image together is no more than that four times.
pub const CONTENT_MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("`{reference}` names no image: {why}")]
    Reference { reference: String, why: String },
    #[error("the registry {registry} can't be asked: {why}")]
    Unreachable { registry: String, why: String },
    #[error("the registry {registry} refuses {doing}: {why}")]
    NotAuthorised { registry: String, doing: String, why: String },
    #[error("{0}")]
    NotFound(String),
    /// It answers, and not as a registry does that keeps what it is given.
    #[error("the registry {registry} can't be believed: {why}")]
    Wrong { registry: String, why: String },
    #[error("`{}` can't be used: {why}", path.display())]
    File { path: PathBuf, why: String },
}

impl RegistryError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            RegistryError::Reference { .. } => {
                "`registry.example.org/team/app:1`, `localhost:5000/app@sha256:…`, or `oci:FOLDER` for an image layout on disk".to_string()
            }
            RegistryError::Unreachable { registry, .. } => format!("`curl https://{registry}/v2/` tells whether this machine reaches it"),
            RegistryError::NotAuthorised { registry, .. } => {
                format!("`podman login {registry}` or `docker login {registry}` keeps a name and a password that are taken there")
            }
            RegistryError::NotFound(_) | RegistryError::Wrong { .. } | RegistryError::File { .. } => return None,
        })
    }
}

/// What somebody wants of a registry: it grants both apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Read,
    Write,
}

/// cosign 2's two kinds of what lies beside an image, each in a manifest of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Signatures,
    Attestations,
}

impl Kind {
    /// The tag that cosign gives it.
    fn tag(self, image: &Digest) -> String {
        let suffix = match self {
            Kind::Signatures => "sig",
            Kind::Attestations => "att",
        };
        format!("sha256-{}.{suffix}", image.hex())
    }
}

/// A place with an image in it. Every call blocks.
#[derive(Debug)]
pub struct Store(Box<dyn Keeper>);

/// Anybody's bytes; or a sentence where they are not there, or are more than they should be, which is the fault of who laid them there.
type Held = Result<Vec<u8>, String>;

/// What both kinds of places can do. Nobody else is at work on one at the same time.
trait Keeper: std::fmt::Debug {
    /// The image's digest, of its own bytes.
    fn image(&self) -> Result<Digest, RegistryError>;
    /// What the image is called, without tag and digest.
    fn name(&self) -> String;
    /// The manifest of one kind, where there is one, and what to call it.
    fn kept(&self, image: &Digest, kind: Kind) -> Result<Option<(String, Vec<u8>)>, RegistryError>;
    /// Manifests that refer to the image, and sentences where a list of them can't be read.
    fn referrers(&self, image: &Digest) -> Result<Vec<Result<Descriptor, String>>, RegistryError>;
    /// A manifest by its digest, or why it can't be had.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Held, RegistryError>;
    /// The bytes that a manifest names, or why they can't be had.
    fn blob(&self, descriptor: &Descriptor) -> Result<Held, RegistryError>;
    /// What is there is not what it should be.
    fn wrong(&self, why: String) -> RegistryError;
    /// Keeps a layer, and a manifest that names it in the place of the one of its kind. Where it is now.
    fn keep(&self, image: &Digest, kind: Kind, layer: &[u8], written: &Written) -> Result<String, RegistryError>;
}

impl Store {
    /// # Errors
    /// When a registry can't be reached, or a folder is no image layout.
    pub fn open(reference: Reference, purpose: Purpose) -> Result<Store, RegistryError> {
        Ok(match reference {
            Reference::Remote { registry, repository, pin } => Store(Box::new(Remote::open(registry, repository, pin, purpose)?)),
            Reference::Layout { path, tag } => Store(Box::new(Layout::open(path, tag)?)),
        })
    }

    /// # Errors
    /// When it isn't there or can't be had.
    pub fn image(&self) -> Result<Digest, RegistryError> {
        self.0.image()
    }

    pub fn name(&self) -> String {
        self.0.name()
    }

    /// All that lies beside an image and speaks of it. What can't be read is among it, and says why.
    ///
    /// # Errors
    /// When the place can't be asked. Others may have laid nonsense there, which is no error.
    pub fn beside(&self, image: &Digest) -> Result<Vec<Beside>, RegistryError> {
        let mut all = Gathered { store: self.0.as_ref(), found: Vec::new(), bytes: 4 * CONTENT_MAX_BYTES, asked: 0 };
        for kind in [Kind::Signatures, Kind::Attestations] {
            if let Some((place, manifest)) = self.0.kept(image, kind)? {
                all.layers(&place, &manifest)?;
            }
        }
        for descriptor in self.0.referrers(image)? {
            all.referrer(descriptor)?;
        }
        if all.asked > BESIDE_MAX {
            all.lost("the image", format!("more than {BESIDE_MAX} things are beside it, and no more are read"));
        }
        Ok(all.found)
    }

    /// Lays something beside the image, after what lies there already. Where it lies, and whether it did before.
    ///
    /// # Errors
    /// When the place refuses it, or what lies there can't be added to.
    pub fn lay(&self, image: &Digest, kind: Kind, layer: &Descriptor, content: &[u8]) -> Result<(String, bool), RegistryError> {
        let before = self.0.kept(image, kind)?;
        let (place, manifest) = before.as_ref().map(|(place, manifest)| (place.as_str(), manifest.as_slice())).unzip();
        let wrong = |why| self.0.wrong(format!("{} can't be added to: {why}", place.unwrap_or("what lies there")));
        if let Some((place, manifest)) = &before
            && oci::layers(manifest).map_err(wrong)?.contains(layer)
        {
            return Ok((place.clone(), true));
        }
        let written = oci::with_layer(manifest, layer).map_err(wrong)?;
        Ok((self.0.keep(image, kind, content, &written)?, false))
    }
}

struct Gathered<'a> {
    store: &'a dyn Keeper,
    found: Vec<Beside>,
    /// That are still read.
    bytes: u64,
    asked: usize,
}

impl Gathered<'_> {
    fn lost(&mut self, place: &str, why: String) {
        self.found.push(Beside { place: place.to_string(), content: Err(why) });
    }

    fn may_ask(&mut self) -> bool {
        self.asked += 1;
        self.asked <= BESIDE_MAX
    }

    fn referrer(&mut self, descriptor: Result<Descriptor, String>) -> Result<(), RegistryError> {
        let descriptor = match descriptor {
            Ok(descriptor) if self.may_ask() => descriptor,
            Ok(_) => return Ok(()),
            Err(why) => {
                self.lost("what refers to the image", why);
                return Ok(());
            }
        };
        let place = format!("the referrer {}", descriptor.digest);
        let manifest = match descriptor.size > MANIFEST_MAX_BYTES {
            true => Err(format!("it has {} bytes, and no manifest has more than {MANIFEST_MAX_BYTES}", descriptor.size)),
            false => self.store.manifest(&descriptor)?.and_then(|bytes| descriptor.check(&bytes).map(|()| bytes)),
        };
        match manifest {
            Ok(manifest) => self.layers(&place, &manifest)?,
            Err(why) => self.lost(&place, why),
        }
        Ok(())
    }

    fn layers(&mut self, place: &str, manifest: &[u8]) -> Result<(), RegistryError> {
        let layers = match oci::layers(manifest) {
            Ok(layers) => layers,
            Err(why) => {
                self.lost(place, why);
                return Ok(());
            }
        };
        let count = layers.len();
        for (index, layer) in layers.into_iter().enumerate().filter(|(_, layer)| Content::is_one(layer)) {
            if !self.may_ask() {
                return Ok(());
            }
            let place = if count == 1 { place.to_string() } else { format!("layer {} of {place}", index + 1) };
            let content = match layer.size > CONTENT_MAX_BYTES.min(self.bytes) {
                true => Err(format!("it has {} bytes, and what lies beside an image is read up to {CONTENT_MAX_BYTES}", layer.size)),
                false => {
                    self.bytes -= layer.size;
                    self.store.blob(&layer)?.and_then(|bytes| Content::read(&layer, &bytes))
                }
            };
            self.found.push(Beside { place, content });
        }
        Ok(())
    }
}
