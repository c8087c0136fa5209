public import Documents
import JSONText

/// The repository that the tests are of, and the inputs that it ships.
public enum Shipped {
  /// The folder that holds Package.swift.
  public static let root = String(#filePath.dropLast("/Tests/TestSupport/Shipped.swift".count))

  /// The shipped inputs, by name.
  public static let catalog = Catalog(root: root)
}
