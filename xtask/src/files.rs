//! Reading the tree: where it begins, and which files a checker looks at.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A text file of the tree.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The path relative to the workspace, with `/`.
    pub(crate) path: String,
    /// The text.
    pub(crate) text: String,
}

/// The workspace's directory: the parent of this crate's, as cargo tells it to the running process. What it told
/// the compiler may be another clone's, when both build into one directory.
///
/// # Errors
///
/// Fails when the crate has no parent directory, which means that the tree is broken.
pub(crate) fn workspace_root() -> Result<PathBuf> {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = told.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().map(Path::to_path_buf).context("xtask has no parent directory")
}

/// Where what is installed for tests is kept, outside the tree: `$LANDBRIDGE_CACHE`, or the user's cache.
///
/// # Errors
///
/// Fails when no variable of the environment says where that is.
pub(crate) fn cache() -> Result<PathBuf> {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LANDBRIDGE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("landbridge")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/landbridge")))
        .context("neither LANDBRIDGE_CACHE nor HOME is set; set LANDBRIDGE_CACHE to a folder")
}

/// The files below `from` whose names end in one of `endings`, sorted by path. A directory that is
/// not there has no files.
///
/// # Errors
///
/// Fails when a file cannot be read as text.
pub(crate) fn below(root: &Path, from: &str, endings: &[&str]) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let start = root.join(from);
    if start.is_dir() {
        collect(root, &start, endings, &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(root: &Path, directory: &Path, endings: &[&str], found: &mut Vec<File>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || matches!(name.as_str(), "target" | "node_modules") {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, endings, found)?;
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(read(root, &path)?);
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path) -> Result<File> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    Ok(File { path: parts.join("/"), text })
}
