package import Launch

/// What starts a plan's ranks on its hosts.
public enum JobLauncher: String, Sendable, CaseIterable {
  /// A script to start on every node, with static rendezvous.
  case torchrun
  /// A batch job of Slurm with a task for every rank.
  case slurm
  /// Open MPI with a rankfile.
  case mpirun
  /// torchrun on every host over ssh.
  case ssh
  /// A JobSet with a pod for every node.
  case kubernetes

  package var document: Launch.JobLauncher {
    switch self {
    case .torchrun: .torchrun
    case .slurm: .slurm
    case .mpirun: .mpirun
    case .ssh: .ssh
    case .kubernetes: .kubernetes
    }
  }
}
