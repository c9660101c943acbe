//! TLS for servers of tests: an authority of their own, and a certificate of it for this machine.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What a server is called that is reached by a proxy. No other way leads there.
pub const NAME: &str = "git.acme.test";

/// A certificate for 127.0.0.1 and [`NAME`], and who vouches for it.
pub struct Certificates {
    pub authority: PathBuf,
    acceptor: TlsAcceptor,
}

impl Certificates {
    /// Makes them, in this folder.
    pub fn make(folder: &Path) -> Self {
        // Whoever was faster installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let own = ["req", "-x509", "-subj", "/CN=tests", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
        let extension = ["-addext", "basicConstraints=critical,CA:TRUE"];
        openssl(folder, &[&own[..], &key, &extension].concat());
        let asked = ["req", "-new", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"];
        openssl(folder, &[&asked[..], &key].concat());
        fs::write(folder.join("names"), format!("subjectAltName=IP:127.0.0.1,DNS:{NAME}\n"))
            .expect("it can be written");
        let signed = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(folder, &[&signed[..], &["-days", "2", "-extfile", "names", "-out", "server.pem"]].concat());

        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("openssl writes PEM");
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("openssl writes PEM");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("the key is the certificate's")));
        Self { authority: folder.join("ca.pem"), acceptor }
    }

    /// Speaks TLS to whoever connects.
    pub fn listen(&self, listener: TcpListener) -> Listener {
        Listener { listener, acceptor: self.acceptor.clone() }
    }
}

/// What it writes to its standard output.
pub fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub struct Listener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Who does not trust the authority goes away here, which is its business.
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
