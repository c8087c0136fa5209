/// A file that a launch needs, by its name in the launch folder.
package struct LaunchFile: Sendable, Equatable {
  /// No path: all files lie in one folder.
  package let name: String
  package let text: String
  package let isExecutable: Bool

  package init(name: String, text: String, isExecutable: Bool = false) {
    self.name = name
    self.text = text
    self.isExecutable = isExecutable
  }
}

/// Why a plan cannot be launched as asked for: a sentence.
package struct LaunchRefusal: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
