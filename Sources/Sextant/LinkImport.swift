import Documents
import JSONText
package import Profiling

/// What files of other tools say of the links: nccl-tests, mpiGraph, OSU, perftest, nvbandwidth, Galvatron and others.
///
/// ```swift
/// let imported = try LinkImport(files: ["all-pairs.log", "mpigraph.log"])
/// try imported.links?.write(to: "links.json")
/// ```
///
/// Of several figures of a pair the most trusted is taken; the others stay in the document.
public struct LinkImport: Sendable {
  package let findings: [Findings]
  package let imported: ImportedLinks

  /// What `format` may be.
  public static let formats = ImportFormat.allCases.map(\.rawValue)
  /// What `collective` may be.
  public static let collectives = MeasuredLinks.CollectiveTimes.Kind.allCases.map(\.rawValue)

  /// - Parameters:
  ///   - format: one of ``formats``, where the content of the files does not say it.
  ///   - hosts: sending and receiving host of a point-to-point test, of each in a file in turn, or one for a test inside
  ///     a node.
  ///   - rankCount: ranks of a collective, where the tool does not print them.
  ///   - nodeCount: nodes of a collective, where the tool does not print them.
  ///   - collective: one of ``collectives``, where nccl-tests do not print it.
  ///   - name: what the document is called.
  public init(
    files: [String], format: String? = nil, hosts: [String] = [], rankCount: Int? = nil, nodeCount: Int? = nil,
    collective: String? = nil, name: String = "imported"
  ) throws(SextantError) {
    var context = ImportContext()
    context.hosts = hosts.count == 1 ? hosts + hosts : hosts
    context.rankCount = rankCount
    context.nodeCount = nodeCount
    context.collective = try Self.choice(collective, label: "collective")
    let format: ImportFormat? = try Self.choice(format, label: "format")
    do {
      var findings: [Findings] = []
      for file in files {
        findings.append(try ImportFormat.findings(of: ToolText(contentsOf: file), format: format, context: context))
      }
      imported = try ImportedLinks(findings, name: name)
      self.findings = findings
    } catch { throw SextantError(error) }
  }

  private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ word: String?, label: String
  ) throws(SextantError) -> Choice? {
    guard let word else { return nil }
    guard let choice = Choice(rawValue: word) else {
      throw SextantError(
        .argument, location: label,
        expected: "expected one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))",
        found: word)
    }
    return choice
  }

  /// The links; nil where the files are of structure only and give no rates.
  public var links: Links? { imported.links.map { Links($0, source: "imported links") } }

  /// What has to be known of all figures of a file, as sentences.
  public var notes: [String] { findings.flatMap(\.notes) }

  /// The `levels` of a cluster document that follow from files on the inside of nodes, as JSON.
  public var clusterLevels: [String] {
    findings.compactMap { finding in
      guard case .node(let node)? = finding.structure, !node.devices.isEmpty else { return nil }
      return node.clusterLevels.text(style: .compact)
    }
  }

  /// The text of a cluster document that says what files of structure do, with open places, which begin with `FILL IN`,
  /// for what they cannot know; a cluster that still has one is refused.
  ///
  /// - Throws: where no file is of structure, or several are of nodes or of networks.
  public func clusterSkeleton(name: String = "imported") throws(SextantError) -> String {
    do { return try ClusterSkeleton(findings, name: name).json.text(style: .pretty) } catch {
      throw SextantError(error)
    }
  }
}
