package import Costing
package import Documents
package import JSONText
package import Profiling

/// Input that cannot be used, or something outside that failed: one line for a person, facts for a program.
///
/// ```swift
/// do { _ = try Cluster.file("mine.json") } catch { print(error) }
/// // mine.json: /levels/1/bytes_per_second: expected a positive number, found "fast"
/// ```
///
/// An answer that is "no" is never an error: see ``NoPlan``, ``Verification`` and ``DryRun/Verdict``.
public struct SextantError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Where the fault lies.
  public enum Kind: Sendable {
    /// In a document, or in a value that a document could hold as well.
    case input
    /// In the arguments of a call: they contradict each other, or one is out of range.
    case argument
    /// A file cannot be written.
    case file
    /// Links cannot be measured: nodes, network or programs failed.
    case links
    /// What is asked for is not executed by this version.
    case unsupported
    /// The caller asked to stop before there was a result.
    case interrupted
  }

  /// Where the fault lies.
  public let kind: Kind
  /// The file, or what a text was called; empty where an argument is at fault, and then ``location`` is its label.
  public let source: String
  /// A JSON pointer (RFC 6901), `line 3, column 7` of broken text, an argument's label, or empty.
  public let location: String
  /// What was expected, in words.
  public let expected: String
  /// What was found instead; nil where there is nothing to quote.
  public let found: String?

  package init(_ kind: Kind, source: String = "", location: String = "", expected: String, found: String? = nil) {
    self.kind = kind
    self.source = source
    self.location = location
    self.expected = expected
    self.found = found
  }

  /// One line: where, what was expected, what was found.
  public var description: String {
    let place = [source, location].filter { !$0.isEmpty }.map { "\($0): " }.joined()
    return (place + expected + (found.map { ", found \($0)" } ?? "")).oneLine
  }
}

/// The errors of the floors below.
extension SextantError {
  /// A document's error. The catalogue calls an argument that names nothing `--cluster`, as the command does.
  package init(_ error: DocumentError) {
    let isArgument = error.source.hasPrefix("--") && error.location.isEmpty
    self.init(
      .input, source: isArgument ? "" : error.source,
      location: isArgument ? String(error.source.dropFirst(2)) : error.location, expected: error.expected,
      found: error.found)
  }

  package init(_ error: CostModel.Refusal) { self.init(.input, expected: "\(error)") }

  package init(_ error: FileError) { self.init(.file, expected: "\(error)") }

  package init(_ error: LinkRunError) {
    let kind: Kind =
      switch error {
      case .launcher, .badAddress, .noInterface: .argument
      case .badToken, .file: .input
      case .network, .coordinator: .links
      case .interrupted: .interrupted
      }
    self.init(kind, expected: "\(error)")
  }
}

extension SextantError {
  /// Refuses a number of an argument that is out of its range, or is none.
  ///
  /// - Parameter name: of the argument.
  static func check<Number: Comparable>(
    _ number: Number, _ range: ClosedRange<Number>, _ name: String
  ) throws(SextantError) {
    guard !range.contains(number) else { return }
    throw SextantError(
      .argument, location: name, expected: "expected a number from \(range.lowerBound) to \(range.upperBound)",
      found: "\(number)")
  }
}
