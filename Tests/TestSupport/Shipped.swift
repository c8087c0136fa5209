package import Documents
import JSONText

/// The repository that the tests are of, and the inputs that it ships.
package enum Shipped {
  /// The folder that holds Package.swift.
  package static let root = String(#filePath.dropLast("/Tests/TestSupport/Shipped.swift".count))

  /// The shipped inputs, by name.
  package static let catalog = Catalog(root: root)
}
