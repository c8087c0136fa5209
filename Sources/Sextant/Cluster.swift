package import Documents

/// A cluster to plan on: its nodes, their devices, and the links at every level.
///
/// ```swift
/// let shipped = try Cluster.named("dgx-a100-16")
/// let own = try Cluster.file("cluster.json").measured(.file("links.json"))
/// ```
public struct Cluster: Sendable, Equatable {
  package let description: ClusterDescription

  /// A shipped cluster's name; a word with a slash or ending in `.json` is a file, as on the command line.
  public static func named(_ name: String) throws(SextantError) -> Cluster {
    do { return Cluster(description: try shippedInputs.cluster(name)) } catch { throw SextantError(error) }
  }

  /// A cluster document.
  public static func file(_ path: String) throws(SextantError) -> Cluster {
    do {
      return Cluster(description: try ClusterDescription(contentsOf: path, catalog: shippedInputs))
    } catch { throw SextantError(error) }
  }

  /// The text of a cluster document, called `cluster` in errors; paths in it are relative to the working folder.
  public static func text(_ json: String) throws(SextantError) -> Cluster {
    do {
      let field = try parse(Array(json.utf8), source: "cluster")
      return Cluster(description: try ClusterDescription(field, catalog: shippedInputs, folder: "."))
    } catch { throw SextantError(error) }
  }

  /// What the cluster is called.
  public var name: String { description.name }
  /// By index, which is how orders of nodes refer to them.
  public var nodeNames: [String] { description.nodeNames }
  /// Of all nodes together.
  public var deviceCount: Int { description.deviceCount }
}

/// The shipped inputs: of `$SEXTANT_HOME`, of this installation, or of the checkout that this was compiled from.
package var shippedInputs: Catalog { .ofInstallation() }
