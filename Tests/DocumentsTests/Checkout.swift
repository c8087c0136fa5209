import Foundation
import JSONText
import TestSupport

/// The checkout that the tests are part of.
enum Checkout {
  static let root = Shipped.root
  static let inputs = "\(root)/Tests/DocumentsTests/Inputs"

  /// The names, without `.json`, of the JSON files in a folder of the checkout, sorted; none if there is no folder.
  static func names(in folder: String) -> [String] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? []
    return entries.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }

  static func json(_ path: String) throws -> JSON {
    try JSON(parsing: readFile(at: "\(root)/\(path)", maximumByteCount: 1 << 26))
  }
}
