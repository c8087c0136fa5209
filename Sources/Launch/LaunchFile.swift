/// A file that a launch needs, by its name in the launch folder.
package struct LaunchFile: Sendable, Equatable {
  /// Of a file that is written no path, since all lie in one folder; of one that is read the path, which complaints
  /// quote.
  package let name: String
  package let text: String
  package let isExecutable: Bool

  package init(name: String, text: String, isExecutable: Bool = false) {
    self.name = name
    self.text = text
    self.isExecutable = isExecutable
  }

  /// The name without the folders before it.
  package var lastComponent: String { name.split(separator: "/").last.map(String.init) ?? name }
}

/// Why a plan cannot be launched as asked for: a sentence.
package struct LaunchRefusal: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
