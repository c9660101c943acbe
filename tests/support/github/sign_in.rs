//! Who a request comes from: the owner of a token, an App by a JWT, or an installation of it.
//! <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>

use std::path::Path;

use axum::http::{HeaderMap, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{TimeDelta, Utc};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs1KeyDer, pem::PemObject as _};
use serde_json::{Value, json};

use super::{
    super::tls::openssl,
    APP, SLUG, TOKEN, TOKEN_OWNER,
    forge::{State, Who},
};

pub const KEY: &str = "app.pem";
const HOUR: TimeDelta = TimeDelta::hours(1);

/// What GitHub keeps of an App: the public half of its key.
pub struct App {
    public: Vec<u8>,
}

impl App {
    /// Makes the key, with the private half in the folder, as GitHub gives it.
    pub fn make(folder: &Path) -> Self {
        openssl(folder, &["genrsa", "-traditional", "-out", KEY, "2048"]);
        let private = PrivatePkcs1KeyDer::from_pem_file(folder.join(KEY)).expect("openssl writes PEM");
        let pair = RsaKeyPair::from_der(private.secret_pkcs1_der()).expect("openssl makes keys");
        Self { public: pair.public_key().as_ref().to_owned() }
    }

    /// What GitHub asks of the token that an App has signed.
    /// <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>
    fn vouches_for(&self, token: &str) -> Result<(), String> {
        let undecodable = || "A JSON web token could not be decoded".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(undecodable)?;
        let (head, claims) = signed.split_once('.').ok_or_else(undecodable)?;
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| undecodable());
        let json = |text: &str| serde_json::from_slice::<Value>(&bytes(text)?).map_err(|_| undecodable());
        if json(head)?["alg"] != "RS256" {
            return Err("The algorithm must be RS256".to_owned());
        }
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public);
        key.verify(signed.as_bytes(), &bytes(signature)?).map_err(|_| undecodable())?;
        let claims = json(claims)?;
        let now = Utc::now().timestamp();
        let time = |name: &str| claims[name].as_i64().ok_or(format!("'{name}' claim must be an integer"));
        let issuer = &claims["iss"];
        if issuer.as_u64().or(issuer.as_str().and_then(|text| text.parse().ok())) != Some(APP) {
            return Err("'Issuer' claim ('iss') must be the App's ID".to_owned());
        }
        let (issued, ends) = (time("iat")?, time("exp")?);
        if issued > now {
            return Err("'Issued at' claim ('iat') must be an Integer representing a time in the past".to_owned());
        }
        if ends <= now {
            return Err("'Expiration time' claim ('exp') is in the past".to_owned());
        }
        if ends > now + 600 || ends - issued > 660 {
            return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
        }
        Ok(())
    }

    /// Who the headers say that it is; what GitHub says to who cannot be let in.
    pub fn who(&self, state: &State, headers: &HeaderMap) -> Result<Who, String> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Who::Nobody) };
        let value = value.to_str().map_err(|_| "Bad credentials")?;
        let (scheme, token) = value.split_once(' ').ok_or("Bad credentials")?;
        let token = match scheme.to_ascii_lowercase().as_str() {
            "bearer" | "token" => token.to_owned(),
            // As git does it: the token is the password.
            "basic" => {
                let decoded = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                decoded.and_then(|login| Some(login.split_once(':')?.1.to_owned())).ok_or("Bad credentials")?
            }
            _ => return Err("Bad credentials".to_owned()),
        };
        if token == TOKEN {
            return Ok(Who::Token);
        }
        if token.matches('.').count() == 2 {
            return self.vouches_for(&token).map(|()| Who::App);
        }
        match state.tokens.get(&token) {
            Some(end) if *end > Utc::now() => Ok(Who::Installation),
            _ => Err("Bad credentials".to_owned()),
        }
    }
}

/// A new token of the installation, as GitHub answers it.
pub fn installation_token(state: &mut State) -> Value {
    let token = format!("ghs_{:036}", state.id());
    let ends = Utc::now() + HOUR;
    state.tokens.insert(token.clone(), ends);
    json!({"token": token, "expires_at": ends.to_rfc3339(), "permissions": permissions(state.installation.reads_members), "repository_selection": "selected"})
}

/// What the App may do.
pub fn permissions(reads_members: bool) -> Value {
    let mut permissions = json!({
        "checks": "write", "contents": "write", "deployments": "write", "issues": "write", "metadata": "read",
        "pull_requests": "write", "statuses": "write",
    });
    if reads_members {
        permissions["members"] = "read".into();
    }
    permissions
}

/// Under which name somebody writes.
pub fn login(who: Who) -> String {
    match who {
        Who::Token => TOKEN_OWNER.to_owned(),
        Who::Installation | Who::App => format!("{SLUG}[bot]"),
        Who::Nobody => "nobody".to_owned(),
    }
}
