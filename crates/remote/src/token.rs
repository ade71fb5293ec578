//! Bearer tokens in files, which somebody else renews.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::settings::TokenFile;

/// Puts the token, if there is one, into each request.
#[derive(Clone, Default)]
pub(crate) struct Authorize(Option<Arc<Token>>);

struct Token {
    file: TokenFile,
    read: Mutex<(Instant, MetadataValue<Ascii>)>,
}

impl Authorize {
    /// Reads the token.
    pub(crate) fn new(file: Option<&TokenFile>) -> io::Result<Self> {
        let token = file.map(|file| {
            Ok::<_, io::Error>(Arc::new(Token {
                read: Mutex::new((Instant::now(), read(&file.path)?)),
                file: file.clone(),
            }))
        });
        Ok(Self(token.transpose()?))
    }
}

impl Token {
    /// The token, read again if it is time for that. One that can't be read is no reason to give up
    /// the one that could: the server will tell when that has run out.
    fn current(&self) -> MetadataValue<Ascii> {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = &mut *known;
        if self.file.reload.is_some_and(|every| at.elapsed() >= every) {
            *at = Instant::now();
            match read(&self.file.path) {
                Ok(renewed) => *value = renewed,
                Err(error) => {
                    let path = self.file.path.display();
                    tracing::warn!(%path, %error, "the token could not be read again");
                }
            }
        }
        value.clone()
    }
}

fn read(path: &Path) -> io::Result<MetadataValue<Ascii>> {
    let text = fs::read_to_string(path)?;
    let header = format!("Bearer {}", text.trim());
    let invalid = |_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no token: expected one line of ASCII",
        )
    };
    let mut value: MetadataValue<Ascii> = header.parse().map_err(invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Interceptor for Authorize {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.current());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sent(authorize: &mut Authorize) -> String {
        let request = authorize.call(Request::new(())).unwrap();
        let value = request.metadata().get("authorization");
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_is_sent_and_renewed() {
        assert_eq!(sent(&mut Authorize::default()), "");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "first\n").unwrap();
        let file = |reload| {
            Some(TokenFile {
                path: path.clone(),
                reload,
            })
        };
        let mut fixed = Authorize::new(file(None).as_ref()).unwrap();
        let mut renewed = Authorize::new(file(Some(Duration::ZERO)).as_ref()).unwrap();
        assert_eq!(sent(&mut renewed), "Bearer first");
        fs::write(&path, "second\n").unwrap();
        assert_eq!(sent(&mut fixed), "Bearer first");
        assert_eq!(sent(&mut renewed), "Bearer second");
        fs::remove_file(&path).unwrap();
        assert_eq!(
            sent(&mut renewed),
            "Bearer second",
            "the last one that could be read"
        );
        assert!(Authorize::new(file(None).as_ref()).is_err());
        fs::write(&path, "two\nlines").unwrap();
        assert!(Authorize::new(file(None).as_ref()).is_err());
    }
}
