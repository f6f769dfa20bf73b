"""ROS 2 nodes and messages of PaIR-Drive; needs a ROS 2 environment.

The generated messages (`pair_drive_ros.msg`) live in the installed package. The search path is extended so that a
checkout in front of it on `sys.path` still finds them.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
