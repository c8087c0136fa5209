import ArgumentParser
import Documents
import Foundation
import Profiling

/// Where this process stands among the nodes of a run, and how they find each other.
struct LinkPlaceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("This process's number, where no launcher says it.", valueName: "number"))
  var rank: Int?

  @Option(help: ArgumentHelp("How many processes there are, where no launcher says it.", valueName: "count"))
  var size: Int?

  @Option(help: ArgumentHelp("Where rank 0 listens.", valueName: "host:port"))
  var rendezvous: String?

  @Option(
    help: ArgumentHelp(
      "A file of mode 0600 with the run's token, which rank 0 creates if it is not there; - for standard input.",
      valueName: "file"))
  var tokenFile: String?

  @Option(help: ArgumentHelp("Use this interface only, by name or number.", valueName: "interface"))
  var interface: String?

  @Option(help: ArgumentHelp("What this node is called; its host name if not given.", valueName: "name"))
  var nodeName: String?

  @Option(help: ArgumentHelp("Start a node on each of these hosts, over ssh.", valueName: "host,…"))
  var hosts: String?

  @Option(help: ArgumentHelp("The same, a host a line; what follows on a line does not count.", valueName: "file"))
  var hostFile: String?

  @Option(help: ArgumentHelp("The command that starts another on a host.", valueName: "command"))
  var ssh = "ssh -o BatchMode=yes"

  @Option(help: ArgumentHelp("What sextant is called on the hosts.", valueName: "path"))
  var remoteProgram: String?

  @Flag(inversion: .prefixedNo, help: "Coordinate the run as rank 0; where not, rank 0 is a node like the others.")
  var coordinate = true

  @Option(help: ArgumentHelp("Wait so long for the nodes to come.", valueName: "seconds"))
  var joinTimeout = 60.0

  func validate() throws {
    guard (rank == nil) == (size == nil) else { throw ValidationError("--rank and --size go together") }
    guard (0.1...86_400).contains(joinTimeout) else { throw ValidationError("--join-timeout is from 0.1 to 86400") }
    guard hosts == nil || hostFile == nil else { throw ValidationError("--hosts and --host-file exclude each other") }
    guard (hosts == nil && hostFile == nil) || rank == nil else {
      throw ValidationError("--hosts starts the ranks itself; --rank is for one of them")
    }
    guard nodeName.map({ !$0.isEmpty && $0.count <= 200 && $0 == $0.oneLine }) ?? true else {
      throw ValidationError("--node-name is of 1 to 200 printable characters")
    }
    guard !ssh.split(separator: " ").isEmpty else { throw ValidationError("--ssh is a command") }
  }

  /// The hosts to start nodes on; nil where a launcher has done that.
  func hostNames() throws -> [String]? {
    if let hosts { return try Profiling.hosts(inList: hosts) }
    return try hostFile.map { try Profiling.hosts(inFile: $0) }
  }

  /// This process's place: from flags, else from the launcher's environment.
  func place() throws -> Launcher {
    if let rank, let size { return try Launcher(rank: rank, size: size) }
    guard let launcher = try Launcher(environment: ProcessInfo.processInfo.environment) else {
      throw ValidationError(
        "no launcher started this process: use srun or mpirun, or --hosts, or --rank, --size and --rendezvous")
    }
    return launcher
  }

  /// - Parameter place: of this process.
  func run(at place: Launcher, maximumBytesPerSecond: Double?) throws -> LinkRun {
    let environment = ProcessInfo.processInfo.environment
    var token = try environment["SEXTANT_TOKEN"].map { try RunToken($0) }
    var file: RunFile?
    if tokenFile == "-" {
      token = try RunToken(readLine() ?? "")
    } else if let tokenFile {
      file = RunFile(path: tokenFile)
    } else if token == nil || rendezvous == nil, hosts == nil, hostFile == nil {
      file = try place.runName.map { try RunFile.standard(runName: $0, environment: environment) }
    }
    return LinkRun(
      place: place, nodeName: nodeName, rendezvous: try rendezvous.map { try Endpoint($0) }, token: token,
      runFile: file, interface: interface, maximumBytesPerSecond: maximumBytesPerSecond, joinSeconds: joinTimeout)
  }

  /// - Parameter nodeArguments: what every node gets beside its place.
  func launch(hosts: [String], nodeArguments: [String]) -> SSHLaunch {
    SSHLaunch(
      hosts: hosts, command: ssh.split(separator: " ").map(String.init),
      remoteProgram: remoteProgram ?? CommandLine.arguments.first.map(Self.absolute) ?? "sextant",
      nodeArguments: nodeArguments + (interface.map { ["--interface", $0] } ?? []) + [
        "--join-timeout", "\(joinTimeout)",
      ])
  }

  /// A path that means the same elsewhere; a bare name is looked for there as here.
  private static func absolute(_ path: String) -> String {
    guard path.contains("/"), !path.hasPrefix("/") else { return path }
    return URL(fileURLWithPath: path).standardizedFileURL.path
  }
}
