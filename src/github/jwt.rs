//! The short-lived token that an App's private key makes.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::json;

use super::{GitHubError, secret::Secret};

/// "60 seconds in the past", against a clock that runs ahead.
const BEFORE: i64 = 60;
/// At most ten minutes; one less, against a clock that runs behind.
const VALID: i64 = 9 * 60;

/// A token of `app`, made now. `key_file` holds PKCS#1, as GitHub gives it, or PKCS#8.
pub(super) async fn make(app: u64, key_file: &Path, now: DateTime<Utc>) -> Result<Secret, GitHubError> {
    let unusable = |why| GitHubError::Unusable { path: key_file.to_owned(), why };
    let pem = Secret::read(key_file).await?;
    let key = match PrivateKeyDer::from_pem_slice(pem.reveal().as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(unusable("it is not an RSA private key in PEM")),
    };
    let key = key.map_err(|_| unusable("it is not an RSA private key of at least 2048 bits"))?;
    let now = now.timestamp();
    let claims = json!({"iat": now - BEFORE, "exp": now + VALID, "iss": app.to_string()});
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| unusable("it does not sign"))?;
    Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}
