package import Documents
import Foundation
import JSONText
import Launch

/// A training as a framework's own files state it, or as the configuration document that was made of them.
///
/// ```swift
/// let running = try Configuration(files: ["launch/"], from: "torchtitan", devices: 64)
/// print(running.strategy, running.notes)
/// ```
public struct Configuration: Sendable, Equatable {
  package let document: RunConfiguration
  /// What complaints call it: its file, or its files.
  package let source: String

  private init(document: RunConfiguration, source: String) {
    self.document = document
    self.source = source
  }

  /// Whose files are read: a framework's name, or that of one of its dialects.
  public static var frameworks: [String] { LaunchTargets.importers.map(\.name) }

  /// Reads the files of a framework.
  ///
  /// - Parameters:
  ///   - files: paths of files, or of a folder whose files all count.
  ///   - framework: one of ``frameworks``.
  ///   - devices: ranks in all, where the files do not say.
  ///   - model: the model, where the files do not state it.
  /// - Throws: ``SextantError`` that names the file and the place.
  public init(
    files: [String], from framework: String, devices: Int? = nil, model: Model? = nil
  ) throws(SextantError) {
    guard let target = LaunchTargets.importer(named: framework) else {
      throw SextantError(
        .argument, location: "from", expected: "expected one of \(Self.frameworks.joined(separator: ", "))",
        found: framework)
    }
    var texts: [LaunchFile] = []
    for path in files { texts += try Self.texts(at: path) }
    do {
      var document = try target.configuration(in: texts, deviceCount: devices ?? Self.placedRankCount(in: texts))
      if let model { try document.state(model.description, source: files.joined(separator: ", ")) }
      self.document = document
      source = files.joined(separator: ", ")
    } catch { throw SextantError(error) }
  }

  /// A configuration document.
  public static func file(_ path: String) throws(SextantError) -> Configuration {
    do {
      return Configuration(document: try RunConfiguration(contentsOf: path), source: path)
    } catch { throw SextantError(error) }
  }

  /// The framework whose files it is of.
  public var framework: String { document.framework }
  /// How the training is divided.
  public var strategy: Strategy { Strategy(document.strategy) }
  /// Layers of each virtual stage; nil where the framework splits them by its own rule, or nobody says.
  public var layerCounts: [Int]? { document.layerCounts }
  /// What the files do not say and was assumed, or say and has no bearing here: a sentence each.
  public var notes: [String] { document.notes }
  /// The document.
  public var json: String { document.json.text(style: .pretty) }

  /// Writes the document, all of it or nothing.
  public func write(to path: String) throws(SextantError) { try Sextant.write(json, to: path) }

  /// The text of a file, or of every file of a folder in the order of their names.
  private static func texts(at path: String) throws(SextantError) -> [LaunchFile] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      return [try text(at: path)]
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    // Of a launch folder the framework's own files count, not the launcher's.
    let isExported = names.contains(Launch.LaunchFolder.listName)
    var texts: [LaunchFile] = []
    for name in names.sorted() where !name.hasPrefix(".") {
      let isLaunchers =
        name == "plan.json" || name.hasSuffix(".md") || name.hasSuffix(".sh") || name.hasSuffix(".sbatch")
      if isExported, isLaunchers, name != "rank.sh" { continue }
      let inner = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
      var isInnerFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: inner, isDirectory: &isInnerFolder), !isInnerFolder.boolValue
      else { continue }
      let file = try text(at: inner)
      // What only some stages are told stands in the script that starts a rank.
      if isExported, name == "rank.sh", !file.givesStagesWords { continue }
      texts.append(file)
    }
    guard !texts.isEmpty else { throw SextantError(.input, source: path, expected: "expected a folder with files") }
    return texts
  }

  /// The ranks that a launch folder places; nil without its `placement.tsv`, which has a line for each below its head.
  private static func placedRankCount(in files: [LaunchFile]) -> Int? {
    files.first { $0.lastComponent == "placement.tsv" }.map { $0.text.split(separator: "\n").count - 1 }
  }

  private static func text(at path: String) throws(SextantError) -> LaunchFile {
    do {
      let bytes = try readFile(at: path, maximumByteCount: 1 << 24)
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw DocumentError(source: path, location: "", expected: "expected UTF-8 text", found: nil)
      }
      return LaunchFile(name: path, text: text)
    } catch let error as DocumentError {
      throw SextantError(error)
    } catch {
      throw SextantError(.input, source: path, expected: "\((error as? FileError)?.reason ?? "\(error)")")
    }
  }
}

extension RunConfiguration {
  /// Takes the model that somebody names, where the files state none, or the same shapes.
  fileprivate mutating func state(_ named: ModelDescription, source: String) throws(DocumentError) {
    if let model, !model.hasShapes(of: named) {
      throw DocumentError(
        source: source, location: "", expected: "the files state a model of other shapes than \(named.name)", found: nil
      )
    }
    if let layerCounts, layerCounts.reduce(0, +) != named.layerCount {
      throw DocumentError(
        source: source, location: "",
        expected: "the files divide \(layerCounts.reduce(0, +)) layers, but \(named.name) has \(named.layerCount)",
        found: nil)
    }
    model = named
  }
}
