import Foundation
import JSONText

/// The shipped inputs, found by name: `Clusters/NAME.json`, `Profiles/NAME.json`, `Profiles/models/NAME.json`,
/// `Profiles/links/NAME.json` under one root.
package struct Catalog: Sendable {
  /// The folder that holds `Clusters` and `Profiles`; nil when none was found, and then only files work.
  package let root: String?

  /// A catalogue under a given root.
  package init(root: String?) { self.root = root }

  /// The catalogue of this installation: `$SEXTANT_HOME`, else the nearest folder above the executable that holds
  /// `Clusters` and `Profiles` (a checkout), or has them in `share/sextant` (an installation), else the checkout that this
  /// was compiled from, for programs of other packages.
  package static func ofInstallation() -> Catalog {
    if let home = ProcessInfo.processInfo.environment["SEXTANT_HOME"], !home.isEmpty { return Catalog(root: home) }
    // Sources/Documents/Catalog.swift
    let checkout = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let last = Catalog(root: holdsInputs(checkout) ? checkout : nil)
    guard let executable = Bundle.main.executableURL?.resolvingSymlinksInPath() else { return last }
    var folder = executable.deletingLastPathComponent()
    while folder.path != "/" {
      for candidate in [folder, folder.appendingPathComponent("share/sextant")] where holdsInputs(candidate.path) {
        return Catalog(root: candidate.path)
      }
      folder.deleteLastPathComponent()
    }
    return last
  }

  private static func holdsInputs(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/Clusters")
      && FileManager.default.fileExists(atPath: path + "/Profiles")
  }

  /// The kinds of input that have shipped names.
  enum Kind: String {
    case cluster, device, model, links

    var folder: String {
      switch self {
      case .cluster: "Clusters"
      case .device: "Profiles"
      case .model: "Profiles/models"
      case .links: "Profiles/links"
      }
    }
  }

  /// The cluster of a file or a shipped name; the name's last part is the number of nodes, which may be one that no
  /// file has.
  package func cluster(_ nameOrPath: String) throws(DocumentError) -> ClusterDescription {
    if !Self.isPath(nameOrPath), let member = try member(ofFamilyNamed: nameOrPath) { return member }
    return try ClusterDescription(contentsOf: path(of: .cluster, nameOrPath), catalog: self)
  }

  /// The model of a file (ours or Hugging Face's) or a shipped name.
  package func model(_ nameOrPath: String) throws(DocumentError) -> ModelDescription {
    try ModelDescription(contentsOf: path(of: .model, nameOrPath))
  }

  /// The device profile of a file or a shipped name.
  package func device(_ nameOrPath: String) throws(DocumentError) -> DeviceProfile {
    try DeviceProfile(contentsOf: path(of: .device, nameOrPath))
  }

  /// The measured links of a file or a shipped name.
  package func links(_ nameOrPath: String) throws(DocumentError) -> MeasuredLinks {
    try MeasuredLinks(contentsOf: path(of: .links, nameOrPath))
  }

  func device(_ nameOrPath: String, relativeTo folder: String, mentionedAt field: Field) throws(DocumentError)
    -> DeviceProfile
  {
    try DeviceProfile(contentsOf: path(of: .device, nameOrPath, relativeTo: folder, mentionedAt: field))
  }

  func links(_ nameOrPath: String, relativeTo folder: String, mentionedAt field: Field) throws(DocumentError)
    -> MeasuredLinks
  {
    try MeasuredLinks(contentsOf: path(of: .links, nameOrPath, relativeTo: folder, mentionedAt: field))
  }

  func model(_ nameOrPath: String, relativeTo folder: String, mentionedAt field: Field) throws(DocumentError)
    -> ModelDescription
  {
    try ModelDescription(contentsOf: path(of: .model, nameOrPath, relativeTo: folder, mentionedAt: field))
  }

  /// The shipped names of a kind, sorted.
  func names(of kind: Kind) -> [String] {
    guard let root, let entries = try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(kind.folder)") else {
      return []
    }
    return entries.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// Whether a word is a file's path and no shipped name.
  private static func isPath(_ word: String) -> Bool { word.contains("/") || word.hasSuffix(".json") }

  /// A word with a slash or ending in `.json` is a path; any other is a shipped name, or of a model a folder with its files.
  private func path(
    of kind: Kind, _ nameOrPath: String, relativeTo folder: String = ".", mentionedAt field: Field? = nil
  ) throws(DocumentError) -> String {
    if Self.isPath(nameOrPath) {
      return nameOrPath.hasPrefix("/") || folder == "." ? nameOrPath : "\(folder)/\(nameOrPath)"
    }
    let known = names(of: kind)
    if let root, known.contains(nameOrPath) { return "\(root)/\(kind.folder)/\(nameOrPath).json" }
    if kind == .model, ModelDescription.isFolder(nameOrPath) { return nameOrPath }
    let hint =
      nameOrPath.nearest(among: known).map { "did you mean \"\($0)\"?" }
      ?? (known.isEmpty ? "no inputs are installed, give a file" : "known: \(known.joined(separator: ", "))")
    throw DocumentError(
      source: field?.source ?? "--\(kind.rawValue)", location: field?.pointer ?? "",
      expected: "no \(kind.rawValue) is called \(JSON.string(nameOrPath).briefDescription) (\(hint))", found: nil)
  }
}
