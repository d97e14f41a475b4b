//! ECDSA on P-256 with SHA-256: what cosign makes by itself and takes from others.

use std::fmt;

use base::Digest;
use p256::SecretKey;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{DerSignature, Signature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};

/// The secret half. Signing takes no random number: the same bytes get the same signature.
#[derive(Clone)]
pub struct SigningKey(p256::ecdsa::SigningKey);

/// The half that everybody may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The text holds no key of the kind that was asked for; the sentence says what it holds instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidKey(pub String);

impl SigningKey {
    /// From random bytes; nothing for the one in four thousand million that is no key: take others.
    pub fn from_random(bytes: &[u8; 32]) -> Option<SigningKey> {
        p256::ecdsa::SigningKey::from_slice(bytes).ok().map(SigningKey)
    }

    /// From PKCS #8 in PEM.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_pem(pem: &str) -> Result<SigningKey, InvalidKey> {
        let secret = SecretKey::from_pkcs8_pem(pem.trim()).map_err(|_| InvalidKey(instead(pem, "PRIVATE KEY")))?;
        Ok(SigningKey(secret.into()))
    }

    /// PKCS #8 in PEM, without a password: for a file that its owner alone can read.
    pub fn to_pem(&self) -> String {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).expect("a key has an encoding");
        pem.to_string()
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// The signature, in ASN.1 as cosign writes it, of a message of this SHA-256.
    pub fn sign(&self, message: &Digest) -> Vec<u8> {
        let signature: DerSignature = self.0.sign_prehash(message.as_bytes()).expect("a digest of 32 bytes is signed");
        signature.as_bytes().to_vec()
    }

    /// The same as the two numbers behind each other, 32 bytes each: `ES256` of RFC 7518, section 3.4.
    pub fn sign_fixed(&self, message: &Digest) -> [u8; 64] {
        let signature: Signature = self.0.sign_prehash(message.as_bytes()).expect("a digest of 32 bytes is signed");
        signature.to_bytes().into()
    }
}

impl PublicKey {
    /// From what `cosign generate-key-pair` calls `cosign.pub`.
    ///
    /// # Errors
    /// When it is something else, or a key of another kind.
    pub fn from_pem(pem: &str) -> Result<PublicKey, InvalidKey> {
        VerifyingKey::from_public_key_pem(pem.trim()).map(PublicKey).map_err(|_| InvalidKey(instead(pem, "PUBLIC KEY")))
    }

    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a key has an encoding")
    }

    /// What tells keys apart for people: the SHA-256 of what stands in the PEM.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(self.0.to_public_key_der().expect("a key has an encoding").as_bytes())
    }

    /// The point's coordinates, each of 32 bytes.
    pub fn coordinates(&self) -> ([u8; 32], [u8; 32]) {
        let point = self.0.to_sec1_point(false);
        let bytes = |coordinate: Option<&p256::FieldBytes>| (*coordinate.expect("an uncompressed point has both")).into();
        (bytes(point.x()), bytes(point.y()))
    }

    /// Whether the signature, in ASN.1, is this key's over a message of this SHA-256.
    pub fn verify(&self, message: &Digest, signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_der(signature) else { return false };
        self.0.verify_prehash(message.as_bytes(), &signature).is_ok()
    }
}

/// A secret is never shown, by whatever path it comes into a message.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().fingerprint())
    }
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidKey {}

/// Why a text isn't the key that was wanted, by what its first line says it is.
fn instead(text: &str, wanted: &str) -> String {
    let label = text.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.split("-----").next());
    match label {
        Some(label) if label == wanted => format!("the {} in it is not one of ECDSA on the curve P-256", wanted.to_lowercase()),
        Some(label) if wanted == "PUBLIC KEY" && label.ends_with("PRIVATE KEY") => {
            "it holds a private key, which signs; the public one beside it is wanted, and nobody else should have this one".to_string()
        }
        Some(label) => format!("it holds a `{label}`, not a `{wanted}`"),
        None => format!("it is no PEM: `-----BEGIN {wanted}-----` is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_random(&[7; 32]).unwrap()
    }

    #[test]
    fn a_key_reads_what_it_writes_and_knows_its_own_signatures_from_all_others() {
        let key = SigningKey::from_pem(&key().to_pem()).unwrap();
        let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
        let signature = key.sign(&Digest::of(b"hello"));
        assert!(public.verify(&Digest::of(b"hello"), &signature));
        assert!(!public.verify(&Digest::of(b"jello"), &signature));
        assert!(!SigningKey::from_random(&[8; 32]).unwrap().public().verify(&Digest::of(b"hello"), &signature));
        for wrong in [&signature[1..], &signature[..signature.len() - 1], b"", &[0x30; 70]] {
            assert!(!public.verify(&Digest::of(b"hello"), wrong));
        }
        let mut longer = signature.clone();
        longer.push(0);
        assert!(!public.verify(&Digest::of(b"hello"), &longer), "what stands behind a signature is not part of it");
        let fixed = Signature::from_slice(&key.sign_fixed(&Digest::of(b"hello"))).unwrap();
        assert_eq!(fixed.to_der().as_bytes(), signature, "the same numbers in another form");
    }

    #[test]
    fn what_is_no_key_says_what_it_is_and_a_secret_key_is_never_shown() {
        assert_eq!(SigningKey::from_random(&[0; 32]).map(|key| key.public()), None);
        let why = |text: &str| PublicKey::from_pem(text).unwrap_err().0;
        assert_eq!(why("hello"), "it is no PEM: `-----BEGIN PUBLIC KEY-----` is missing");
        assert!(why(&key().to_pem()).starts_with("it holds a private key, which signs"));
        assert_eq!(why("-----BEGIN CERTIFICATE-----\n"), "it holds a `CERTIFICATE`, not a `PUBLIC KEY`");
        let ed25519 =
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(why(ed25519), "the public key in it is not one of ECDSA on the curve P-256");
        assert!(format!("{:?}", key()).starts_with("SigningKey(sha256:"));
    }
}
