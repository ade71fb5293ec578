//! A small root with a shell: this machine's, with its libraries.

use std::fs;
use std::path::Path;
use std::process::Command;

use headstart_merkle::{ActionDigest, BlobDigest, Directory, DirectoryDigest};
use headstart_reapi::localcas::CaptureTreeRequest;
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient as LocalCas;
use headstart_reapi::reapi::command::{EnvironmentVariable, OutputDirectoryFormat as Format};
use headstart_reapi::{Message, reapi};

use super::daemon::Daemon;

/// What the shell's scripts call.
const PROGRAMS: [&str; 5] = ["sh", "cat", "ln", "mkdir", "sleep"];

/// Puts the root into a daemon's store.
pub(crate) async fn capture(daemon: &Daemon) -> DirectoryDigest {
    let root = daemon.folder.path().join("shell");
    for program in PROGRAMS {
        let program = Path::new("/bin").join(program);
        copy(&program, &root);
        let libraries = Command::new("ldd").arg(&program).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        let words = libraries.split_whitespace();
        for library in words.filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &root);
        }
    }
    let request = CaptureTreeRequest {
        path: vec![root.to_str().unwrap().to_owned()],
        output_directory_format: Format::DirectoryOnly as i32,
        ..Default::default()
    };
    let mut local = LocalCas::new(daemon.connect().await);
    let captured = local.capture_tree(request).await.unwrap().into_inner();
    let digest = captured.responses[0].root_directory_digest.as_ref();
    DirectoryDigest::required(digest).unwrap()
}

/// Copies a file to the same path below `root`, as what it leads to.
fn copy(file: &Path, root: &Path) {
    let to = root.join(file.strip_prefix("/").unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(file, to).unwrap();
}

/// An action of a shell, to be uploaded.
pub(crate) struct ShellAction {
    pub(crate) action: reapi::Action,
    /// The command, and the empty input root.
    pub(crate) parts: [Vec<u8>; 2],
}

/// The result of an action that must have gone well.
pub(crate) fn went_well(response: reapi::ExecuteResponse) -> reapi::ActionResult {
    let status = response.status.unwrap_or_default();
    let result = response.result.unwrap_or_default();
    let code = (status.code, result.exit_code);
    assert_eq!(code, (0, 0), "{status:?} {result:?}");
    result
}

impl ShellAction {
    /// A script that is told a name, in a root with a shell. Its outputs are `out` and `d`.
    pub(crate) fn new(
        root: DirectoryDigest,
        script: &str,
        name: &str,
        variables: &[(&str, &str)],
        properties: &[(&str, &str)],
    ) -> Self {
        let path = [("PATH", "/bin")];
        let variables = variables.iter().chain(&path);
        let variables = variables.map(|(name, value)| EnvironmentVariable {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let mut variables: Vec<_> = variables.collect();
        variables.sort_by(|one, other| one.name.cmp(&other.name));
        let command = reapi::Command {
            arguments: ["/bin/sh", "-c", script, name].map(str::to_owned).to_vec(),
            output_paths: vec!["d".into(), "out".into()],
            environment_variables: variables,
            ..Default::default()
        };
        let parts = [
            command.encode_to_vec(),
            Directory::default().encode().to_vec(),
        ];
        let root = root.to_string();
        let base = [("chrootRootDigest", &*root)];
        let properties = properties.iter().chain(&base);
        let properties = properties.map(|(name, value)| reapi::platform::Property {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let mut properties: Vec<_> = properties.collect();
        properties.sort_by(|one, other| one.name.cmp(&other.name));
        let action = reapi::Action {
            command_digest: Some(BlobDigest::of(&parts[0]).into()),
            input_root_digest: Some(BlobDigest::of(&parts[1]).into()),
            platform: Some(reapi::Platform { properties }),
            ..Default::default()
        };
        Self { action, parts }
    }

    pub(crate) fn digest(&self) -> ActionDigest {
        ActionDigest::of(&self.action.encode_to_vec())
    }

    /// All that has to be uploaded.
    pub(crate) fn blobs(&self) -> Vec<Vec<u8>> {
        let action = self.action.encode_to_vec();
        self.parts.iter().cloned().chain([action]).collect()
    }
}
