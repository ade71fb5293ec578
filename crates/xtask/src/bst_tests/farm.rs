//! A server for artifacts and for execution, which is this program too.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long it may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on this machine that ends with this.
pub(super) struct Farm {
    process: Child,
    address: String,
}

impl Farm {
    /// Starts `program` with an empty cache in `folder`.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(failed)?;
        // Whichever port is free now.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(failed)?.to_string();
        let log = fs::File::create(folder.join("log")).map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("casd").arg(format!("--bind={address}"));
        command.arg(folder.join("cache")).stderr(log);
        let process = command.spawn().map_err(failed)?;
        let mut farm = Self { process, address };
        farm.wait()?;
        Ok(farm)
    }

    fn wait(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            let ended = self.process.try_wait().is_ok_and(|ended| ended.is_some());
            if ended || start.elapsed() > PATIENCE {
                return Err(format!("the server at {} does not serve", self.address));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
