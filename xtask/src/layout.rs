//! Where things lie: every generated file is in the git-ignored `.mlxengine`
//! folder of the workspace, except Cargo's `mlx.toml`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Error;

/// Prefix of the folders in which something is being built.
const UNFINISHED: &str = ".unfinished-";

/// The workspace's folders.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The workspace that this program belongs to.
    pub(crate) fn of_this_workspace() -> Result<Self, Error> {
        // `cargo run` says where the package is; the compiled-in path is for
        // the program started by hand.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        Self::at(package.parent().unwrap_or(&package))
    }

    /// The workspace at `root`.
    pub(crate) fn at(root: &Path) -> Result<Self, Error> {
        let root = fs::canonicalize(root).map_err(|e| Error::io("open the folder", root, e))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `.mlxengine`: all that the commands generate or download.
    pub(crate) fn generated(&self) -> PathBuf {
        self.root.join(".mlxengine")
    }

    /// The folder of one MLX build, such as `0.32.2-cpu`.
    pub(crate) fn mlx(&self, name: &str) -> PathBuf {
        self.generated().join("mlx").join(name)
    }

    /// The folder of test models.
    pub(crate) fn models(&self) -> PathBuf {
        self.generated().join("models")
    }

    /// The Cargo configuration that switches MLX on.
    pub(crate) fn cargo_config(&self) -> PathBuf {
        self.root.join(".cargo").join("mlx.toml")
    }

    /// Creates `.mlxengine`, takes its lock, and clears what an interrupted run left there.
    ///
    /// A second command that wants to write there waits until the first is done.
    pub(crate) fn lock(&self) -> Result<Workshop, Error> {
        let folder = self.generated();
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let path = folder.join("lock");
        let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        file.lock().map_err(|e| Error::io("lock", &path, e))?;
        let workshop = Workshop {
            folder,
            _lock: file,
        };
        workshop.clear()?;
        Ok(workshop)
    }
}

/// The right to write below `.mlxengine`, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Workshop {
    folder: PathBuf,
    _lock: File,
}

impl Workshop {
    /// A new empty folder beside the finished ones, removed when dropped.
    pub(crate) fn unfinished(&self) -> Result<TempDir, Error> {
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.folder)
            .map_err(|e| Error::io("create a folder in", &self.folder, e))
    }

    fn clear(&self) -> Result<(), Error> {
        let failed = |e| Error::io("clean up", &self.folder, e);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())
                    .map_err(|e| Error::io("remove", &entry.path(), e))?;
            }
        }
        Ok(())
    }
}

/// Puts a finished folder in its final place, in one step; an older one there is replaced.
pub(crate) fn put_in_place(finished: &Path, destination: &Path) -> Result<(), Error> {
    let failed = |e| Error::io("put in place", destination, e);
    if let Some(parent) = destination.parent() {
        fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
    }
    if destination.exists() {
        // Moved out of the way within the temporary folder, which goes when the command ends.
        let old = finished.with_extension("replaced");
        fs::rename(destination, &old).map_err(failed)?;
    }
    fs::rename(finished, destination).map_err(failed)
}

/// Writes a file so that it is there with all of `contents` or not at all.
pub(crate) fn write_whole(path: &Path, contents: &str) -> Result<(), Error> {
    let failed = |e| Error::io("write", path, e);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any other file, where a temporary one is for its owner only.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, contents.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// All files below a folder, however deep, in the order of their paths.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |e| Error::io("read the folder", &folder, e);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_the_lock_clears_what_an_interrupted_run_left() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path()).unwrap();
        let left = layout.generated().join(".unfinished-abc");
        let kept = layout.generated().join("models");
        fs::create_dir_all(&left).unwrap();
        fs::create_dir_all(&kept).unwrap();
        let _workshop = layout.lock().unwrap();
        assert!(!left.exists());
        assert!(kept.exists());
    }

    #[test]
    fn putting_in_place_replaces_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        let workshop = Layout::at(root.path()).unwrap().lock().unwrap();
        let unfinished = workshop.unfinished().unwrap();
        for contents in ["one", "two"] {
            let new = unfinished.path().join("new");
            fs::create_dir(&new).unwrap();
            fs::write(new.join("file"), contents).unwrap();
            put_in_place(&new, &root.path().join("deep/place")).unwrap();
        }
        let file = root.path().join("deep/place/file");
        assert_eq!(fs::read_to_string(file).unwrap(), "two");
    }

    #[test]
    fn a_dropped_unfinished_folder_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let workshop = Layout::at(root.path()).unwrap().lock().unwrap();
        let unfinished = workshop.unfinished().unwrap();
        let path = unfinished.path().to_owned();
        assert!(path.exists());
        drop(unfinished);
        assert!(!path.exists());
    }
}
