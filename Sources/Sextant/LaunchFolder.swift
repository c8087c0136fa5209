import Documents
import JSONText
package import Launch

/// Files that start a plan with a training framework and a launcher, once the user has filled in `settings.sh`.
///
/// ```swift
/// let plan = try Plan.file("plan.json")
/// switch try plan.launchFolder(for: "megatron-lm", launcher: .slurm) {
/// case .success(let folder): try folder.write(to: "launch")
/// case .failure(let no): print(no)
/// }
/// ```
public struct LaunchFolder: Sendable {
  /// Why a framework cannot be told a plan, with the nearest that it can.
  public struct NotExpressible: Error, Sendable, CustomStringConvertible {
    /// A sentence.
    public let description: String
  }

  package let document: Launch.LaunchFolder
  /// The framework that the files are for, as ``launchTargets`` names it.
  public let target: String
  /// What starts it.
  public let launcher: JobLauncher

  /// The frameworks that launch files can be written for, each in one dialect of its configuration.
  public static var launchTargets: [String] { LaunchTargets.all.map { $0.name } }

  /// Names of the files, sorted.
  public var fileNames: [String] { document.files.map(\.name) }
  /// Settings in `settings.sh` without which nothing starts.
  public var requiredSettings: [String] { document.requiredSettings }
  /// How to start it, in a paragraph of Markdown.
  public var instructions: String { document.instructions }

  /// The text of a file; nil where there is none of the name.
  public func text(of name: String) -> String? { document.files.first { $0.name == name }?.text }

  /// Writes the folder, all of it or nothing.
  ///
  /// Where an earlier export wrote the folder, its files are replaced, `settings.sh` keeps what the user filled in, and
  /// what else lies there stays.
  ///
  /// - Parameter replacing: whether files of the same names are replaced in a folder that no export wrote.
  /// - Throws: for a folder that is not empty and that no export wrote, and where it cannot be written.
  public func write(to path: String, replacing: Bool = false) throws(SextantError) {
    do { try writeFolder(to: path, replacing: replacing) } catch { throw SextantError(error) }
  }

  private func writeFolder(to path: String, replacing: Bool) throws(FileError) {
    let list = Launch.LaunchFolder.listName
    let present = try folderNames(at: path) ?? []
    guard present.isEmpty || present.contains(list) || replacing else {
      throw FileError(
        path: path, operation: .write,
        reason: "the folder holds files, and no export wrote it")
    }
    var earlier: Set<String> = []
    var settings: String?
    if present.contains(list) {
      let names = String(decoding: try readFile(at: "\(path)/\(list)", maximumByteCount: 1 << 20), as: UTF8.self)
      earlier = Set(names.split(separator: "\n").map(String.init)).subtracting(["settings.old.sh"])
      if present.contains("settings.sh") {
        settings = String(
          decoding: try readFile(at: "\(path)/settings.sh", maximumByteCount: 16 << 20), as: UTF8.self)
      }
    }
    let files = document.files(over: settings)
    let names = files.map { "\($0.name)\n" }.joined()
    try writeFolderAtomically(
      files.map { FolderFile(name: $0.name, bytes: Array($0.text.utf8), isExecutable: $0.isExecutable) }
        + [FolderFile(name: list, bytes: Array(names.utf8), isExecutable: false)],
      to: path, discarding: earlier)
  }
}

extension Plan {
  /// The files that start the plan.
  ///
  /// - Parameters:
  ///   - target: a framework of ``LaunchFolder/launchTargets``; nil for the plan's own.
  ///   - hosts: the hosts to run on: the path of a host file (`host slots=8`, a line each), or a list such as
  ///     `gpu[01-16]`. Without it the cluster's own names are the hosts; where it has none, they are known at launch.
  /// - Returns: the folder, or why the framework cannot express the plan.
  /// - Throws: for a target that there is not, and for hosts that are not the plan's, with the difference.
  public func launchFolder(
    for target: String? = nil, launcher: JobLauncher = .torchrun, hosts: String? = nil
  ) throws(SextantError) -> Result<LaunchFolder, LaunchFolder.NotExpressible> {
    let known = LaunchTargets.all.map { $0.name }.joined(separator: ", ")
    guard let chosen = target.map(LaunchTargets.named) ?? LaunchTargets.standard(for: document) else {
      throw SextantError(
        .argument, location: "for", expected: "expected one of \(known)",
        found: "\"\(target ?? document.question.framework)\"")
    }
    do {
      let assignment = try HostAssignment(
        document, list: try hosts.map { (hosts) throws(DocumentError) in try HostList(hosts) })
      do {
        return .success(
          LaunchFolder(
            document: try Launch.LaunchFolder(of: document, for: chosen, by: launcher.document, on: assignment),
            target: chosen.name, launcher: launcher))
      } catch { return .failure(LaunchFolder.NotExpressible(description: error.description)) }
    } catch { throw SextantError(error) }
  }
}
