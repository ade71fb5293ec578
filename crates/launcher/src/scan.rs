//! Finding out what a call reads, by asking the compiler itself.

use std::path::Path;
use std::process::Stdio;

use crate::arguments::Compile;
use crate::rules::prerequisites;

/// Why a call can't be sent away after all.
pub(crate) type Reason = String;

/// The files that `program` reads when it compiles, as it names them.
pub(crate) async fn compile_inputs(
    program: &str,
    compile: &Compile,
) -> Result<Vec<String>, Reason> {
    let listed = tokio::process::Command::new(program)
        .args(&compile.scan)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("{program} can't be asked what it reads: {error}"))?;
    if !listed.status.success() {
        return Err("the compiler could not list what it reads".to_owned());
    }
    let text = String::from_utf8(listed.stdout)
        .map_err(|_| "a file that it reads has a name that is not UTF-8".to_owned())?;
    let mut inputs = prerequisites(&text);
    // Compilers list nothing for sources that are not preprocessed.
    for file in &compile.sources {
        if !inputs.contains(file) {
            inputs.push(file.clone());
        }
    }
    for source in &compile.sources {
        if assembler_may_read_more(Path::new(source)) {
            return Err(format!("{source} may have the assembler read more files"));
        }
    }
    Ok(inputs)
}

/// Whether a source has directives by which the assembler, of which no list of inputs speaks,
/// reads further files.
fn assembler_may_read_more(source: &Path) -> bool {
    let Ok(content) = std::fs::read(source) else {
        return false;
    };
    let contains = |needle: &[u8]| content.windows(needle.len()).any(|window| window == needle);
    let assembly = source
        .extension()
        .is_some_and(|extension| extension == "s" || extension == "S");
    contains(b".incbin") || (assembly && contains(b".include"))
}
