import Glibc

/// A file of a folder that is written as a whole.
package struct FolderFile: Sendable {
  /// No path: all files lie in one folder.
  package let name: String
  package let bytes: [UInt8]
  package let isExecutable: Bool

  package init(name: String, bytes: [UInt8], isExecutable: Bool) {
    self.name = name
    self.bytes = bytes
    self.isExecutable = isExecutable
  }
}

/// Writes a folder so that whoever looks sees all of it or nothing, even if this process stops in between.
///
/// The files go to a new folder beside it, onto the disk, and only then under the name. A folder that is there moves aside
/// first, and back on failure; its files of other names move over, unless they are discarded. A signal that ends the
/// process in the middle waits until no other folder is left: see ``HeldSignals``.
///
/// - Parameter discarded: names of files of the old folder that go away, beside those that are replaced.
/// - Throws: ``FileError`` when the path is no folder, its parent does not exist, or it cannot be written.
package func writeFolderAtomically(
  _ files: [FolderFile], to path: String, discarding discarded: Set<String> = []
) throws(FileError) {
  try checkPath(path, operation: .write)
  try HeldSignals.whileWriting { () throws(FileError) in try replaceFolder(path, with: files, discarding: discarded) }
}

/// Refuses a path that ``writeFolderAtomically(_:to:discarding:)`` could not write now, and leaves all as it was.
///
/// - Throws: ``FileError``, as the write would.
package func tryWritingFolder(at path: String) throws(FileError) {
  try checkPath(path, operation: .write)
  try HeldSignals.whileWriting { () throws(FileError) in
    let (destination, exists) = try folderDestination(path)
    // The files that stay have to move over.
    guard !exists || access(destination, W_OK | X_OK) == 0 else {
      throw FileError(path: path, operation: .write, code: errno)
    }
    let new = try makeFolder(beside: destination, namedBy: path)
    defer { rmdir(new) }
    do throws(FileError) { try tryWritingFile(at: "\(new)/try") } catch {
      throw FileError(path: path, operation: .write, reason: error.reason)
    }
  }
}

/// Where a folder lies, without symbolic links and a slash at the end, and whether it is there.
private func folderDestination(_ path: String) throws(FileError) -> (path: String, exists: Bool) {
  let existing = try existingFolder(at: path)
  var destination = existing ?? path
  while destination.utf8.count > 1, destination.utf8.last == UInt8(ascii: "/") { destination.removeLast() }
  return (destination, existing != nil)
}

private func replaceFolder(
  _ path: String, with files: [FolderFile], discarding discarded: Set<String>
) throws(FileError) {
  let (destination, exists) = try folderDestination(path)
  let new = try makeFolder(beside: destination, namedBy: path)
  do throws(FileError) {
    for file in files { try write(file, in: new, namedBy: path) }
    guard exists else { return try rename(new, to: destination, namedBy: path) }
    let old = try makeFolder(beside: destination, namedBy: path)
    // A folder may take the place of an empty one.
    do throws(FileError) { try rename(destination, to: old, namedBy: path) } catch {
      rmdir(old)
      throw error
    }
    do throws(FileError) { try rename(new, to: destination, namedBy: path) } catch {
      _ = Glibc.rename(old, destination)
      throw error
    }
    removeFiles(discarded.union(files.map(\.name)), in: old)
    for name in names(in: old) { try rename("\(old)/\(name)", to: "\(destination)/\(name)", namedBy: path) }
    rmdir(old)
  } catch {
    removeFiles(Set(files.map(\.name)), in: new)
    rmdir(new)
    throw error
  }
}

/// The names in a folder, but for `.` and `..`, sorted; nil where there is no folder.
package func folderNames(at path: String) throws(FileError) -> [String]? {
  try checkPath(path, operation: .read)
  guard let folder = try existingFolder(at: path) else { return nil }
  return names(in: folder)
}

/// The folder that a path leads to, without symbolic links; nil where there is nothing.
private func existingFolder(at path: String) throws(FileError) -> String? {
  var status = stat()
  guard stat(path, &status) == 0 else {
    if errno == ENOENT { return nil }
    throw FileError(path: path, operation: .write, code: errno)
  }
  guard status.st_mode & S_IFMT == S_IFDIR else {
    throw FileError(path: path, operation: .write, reason: "is not a folder")
  }
  guard let resolved = realpath(path, nil) else { throw FileError(path: path, operation: .write, code: errno) }
  defer { free(resolved) }
  return String(cString: resolved)
}

private func makeFolder(beside destination: String, namedBy path: String) throws(FileError) -> String {
  // In bytes: `/` and a combining mark make one `Character`.
  let slash = destination.utf8.lastIndex(of: UInt8(ascii: "/"))
  let parent = slash.map { $0 == destination.startIndex ? "/" : String(destination[..<$0]) } ?? "."
  for _ in 0..<16 {
    let folder = "\(parent)/.\(getpid())-\(String(UInt64.random(in: 0 ... .max), radix: 16)).tmp"
    if mkdir(folder, 0o777) == 0 { return folder }
    guard errno == EEXIST else { break }
  }
  throw FileError(path: path, operation: .write, code: errno)
}

private func write(_ file: FolderFile, in folder: String, namedBy path: String) throws(FileError) {
  precondition(!file.name.isEmpty && !file.name.utf8.contains(UInt8(ascii: "/")), "a file's name is no path")
  try writeFileAtomically(file.bytes, to: "\(folder)/\(file.name)")
  guard file.isExecutable else { return }
  // As the process's mask allows, for whoever may read it.
  var status = stat()
  guard stat("\(folder)/\(file.name)", &status) == 0,
    chmod("\(folder)/\(file.name)", status.st_mode & 0o7777 | (status.st_mode & 0o444) >> 2) == 0
  else { throw FileError(path: path, operation: .write, code: errno) }
}

private func rename(_ old: String, to new: String, namedBy path: String) throws(FileError) {
  guard Glibc.rename(old, new) == 0 else { throw FileError(path: path, operation: .write, code: errno) }
}

private func removeFiles(_ names: Set<String>, in folder: String) {
  for name in names { unlink("\(folder)/\(name)") }
}

private func names(in folder: String) -> [String] {
  guard let directory = opendir(folder) else { return [] }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
      pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}
