package import Documents
import JSONText
import Profiling

/// What the links between the nodes of a cluster were measured to deliver.
///
/// ```swift
/// let links = try Links.file("links.json")
/// print(links.slowNodes.map(\.name))
/// let planner = try Planner(cluster: .file("cluster.json").measured(links), job: job)
/// ```
public struct Links: Sendable, Equatable {
  package let document: MeasuredLinks
  /// What errors call the document.
  package let source: String

  package init(_ document: MeasuredLinks, source: String) {
    self.document = document
    self.source = source
  }

  /// The name of shipped links; a word with a slash or ending in `.json` is a file, as on the command line.
  public static func named(_ name: String) throws(SextantError) -> Links {
    do { return Links(try shippedInputs.links(name), source: name) } catch { throw SextantError(error) }
  }

  /// A links document.
  public static func file(_ path: String) throws(SextantError) -> Links {
    do { return Links(try MeasuredLinks(contentsOf: path), source: path) } catch { throw SextantError(error) }
  }

  /// The text of a links document, called `links` in errors.
  public static func text(_ json: String) throws(SextantError) -> Links {
    do {
      return Links(try MeasuredLinks(parse(Array(json.utf8), source: "links")), source: "links")
    } catch { throw SextantError(error) }
  }

  /// The links document.
  public var json: String { document.json.text(style: .pretty) }

  /// Writes the links document, all of it or nothing.
  public func write(to path: String) throws(SextantError) { try Sextant.write(json, to: path) }

  /// By index.
  public var nodeNames: [String] { document.nodeNames }

  /// The median rate over all moments of measurement; nil where the pair was not measured.
  public func bytesPerSecond(from: Int, to: Int) -> Double? {
    document.medianBytesPerSecond(from: from, to: to)
  }

  /// Nodes that send or receive less than the median node by far more than is usual, worst first; losses are shares.
  public var slowNodes: [(name: String, sendingLoss: Double, receivingLoss: Double)] {
    LinkHealth(document).slowNodes.map { (nodeNames[$0.index], $0.sendingLoss, $0.receivingLoss) }
  }

  /// Links slower than their sender and receiver explain, worst first.
  public var slowLinks: [(from: String, to: String, bytesPerSecond: Double, expectedBytesPerSecond: Double)] {
    LinkHealth(document).slowLinks.map {
      (nodeNames[$0.from], nodeNames[$0.to], $0.bytesPerSecond, $0.expectedBytesPerSecond)
    }
  }
}

extension Links {
  /// What speaks against these measurements being of a cluster's own network, a sentence each: rates below a twentieth of
  /// what its outermost level is described with, as those of a management network are. Nodes are not compared by name.
  public func doubts(on cluster: Cluster) -> [String] { cluster.description.doubts(of: document) }
}

extension Cluster {
  /// The cluster with measured links: it is planned on what they deliver, and nodes are put into the best order.
  ///
  /// - Throws: ``SextantError`` when the links are not of the cluster's nodes.
  public func measured(_ links: Links) throws(SextantError) -> Cluster {
    do {
      return Cluster(description: try description.measured(links.document))
    } catch { throw SextantError(.input, source: links.source, expected: error.sentence) }
  }
}
